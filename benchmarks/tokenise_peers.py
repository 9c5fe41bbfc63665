"""The other contestants of tokenise.py, each run as a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import read_items


def chats(items: Path, chains: Path) -> Iterator[tuple[str, str]]:
    """Prompts and responses, in the order of the chains."""
    by_id = {item.id: item for item in read_items(items)}
    with open(chains, encoding="utf-8") as lines:
        for line in lines:
            chain = json.loads(line)
            item = by_id[chain["item_id"]]
            yield render_prompt(item), render_response(chain["reasoning"], item.letter)


def render(items: Path, chains: Path, folder: Path, files: int) -> tuple[int, int]:
    """Write whole chats as JSONL files for datatrove; returns how many, and their characters."""
    folder.mkdir()
    outs = [open(folder / f"{n}.jsonl", "w", encoding="utf-8") for n in range(files)]  # noqa: SIM115
    count = characters = 0
    for prompt, response in chats(items, chains):
        outs[count % files].write(json.dumps({"id": str(count), "text": prompt + response}, ensure_ascii=False) + "\n")
        count += 1
        characters += len(prompt) + len(response)
    for out in outs:
        out.close()
    return count, characters


def plain_loop(tokenizer: Path, items: Path, chains: Path, out: Path) -> None:
    """What one writes with megatron-core and tokenizers at hand."""
    import numpy as np
    import torch
    from tokenizers import Tokenizer

    from fleming_nemo.parallel import cpu_backend

    cpu_backend.enable()
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    encode = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode
    out.mkdir()
    tokens = IndexedDatasetBuilder(str(out / "tokens.bin"), dtype=DType.optimal_dtype(151_665))
    mask = IndexedDatasetBuilder(str(out / "mask.bin"), dtype=np.uint8)
    for prompt, response in chats(items, chains):
        asked = encode(prompt, add_special_tokens=False).ids
        answered = encode(response, add_special_tokens=False).ids
        length = len(asked) + len(answered)
        tokens.add_document(torch.tensor(asked + answered), [length])
        mask.add_document(torch.tensor([0] * len(asked) + [1] * len(answered)), [length])
    tokens.finalize(str(out / "tokens.idx"))
    mask.finalize(str(out / "mask.idx"))


def datatrove(tokenizer: Path, rendered: Path, out: Path, workers: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import MegatronDocumentTokenizer

    count = int(str(workers))
    writer = MegatronDocumentTokenizer(
        str(out / "tokens"), tokenizer_name_or_path=str(tokenizer / "tokenizer.json"), eos_token=None
    )
    executor = LocalPipelineExecutor(
        [JsonlReader(str(rendered)), writer], tasks=count, workers=count, logging_dir=str(out / "logs")
    )
    executor.run()


if __name__ == "__main__":
    contestant, *paths = sys.argv[1:]
    {"loop": plain_loop, "datatrove": datatrove}[contestant](*map(Path, paths))
