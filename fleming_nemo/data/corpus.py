"""Megatron indexed datasets with a loss mask: `tokens.{bin,idx}`, `mask.{bin,idx}` and `manifest.json`.

The mask stream has the shape of the token stream; 1 marks a token that the loss is taken on.  The manifest is written
last: a directory without it was never finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256, write_json
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.parallel import cpu_backend

cpu_backend.enable()

from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder  # noqa: E402

MANIFEST = "manifest.json"
FORMAT = 1
_STREAMS = ("tokens", "mask")


def write(
    folder: Path,
    documents: Iterable[tuple[list[int], list[int]]],
    tokenizer: ChatTokenizer,
    sources: dict[str, Any],
    config: dict[str, Any],
) -> dict[str, Any]:
    """Write (token ids, loss mask) pairs of equal length; returns the manifest.

    Args:
        sources: counts and licences of what the documents came from.
        config: the settings that made them; only recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtypes = {"tokens": DType.optimal_dtype(tokenizer.size), "mask": np.uint8}
    builders = {s: IndexedDatasetBuilder(str(folder / f"{s}.bin"), dtype=dtypes[s]) for s in _STREAMS}
    counts = {"documents": 0, "tokens": 0, "trained_tokens": 0, "longest": 0}
    for tokens, mask in documents:
        if len(tokens) != len(mask):
            raise ValueError(f"document {counts['documents']}: {len(tokens)} tokens but {len(mask)} mask entries")
        for stream, values in zip(_STREAMS, (tokens, mask), strict=True):
            builders[stream].add_item(torch.tensor(values))
            builders[stream].end_document()
        counts["documents"] += 1
        counts["tokens"] += len(tokens)
        counts["trained_tokens"] += sum(mask)
        counts["longest"] = max(counts["longest"], len(tokens))
    for stream in _STREAMS:
        builders[stream].finalize(str(folder / f"{stream}.idx"))
    files = [folder / f"{s}.{kind}" for s in _STREAMS for kind in ("bin", "idx")]
    manifest = {
        "format": FORMAT,
        "tokenizer_sha256": tokenizer.sha256,
        **counts,
        "sources": sources,
        "config": config,
        "files": {f.name: {"bytes": f.stat().st_size, "sha256": sha256(f)} for f in files},
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def check(folder: Path, tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The manifest of a whole corpus made with this tokenizer; anything else is a UserError."""
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"no corpus in {folder} (manifest.json is missing); build one with data_prep/build_indexed.py "
            "or point data.dir at it"
        )
    manifest = _read_manifest(folder / MANIFEST)
    if manifest["tokenizer_sha256"] != tokenizer.sha256:
        raise UserError(
            f"the corpus in {folder} was made with another tokenizer than {tokenizer.folder}; "
            "set data.tokenizer to the one it was made with, or build the corpus again"
        )
    for name, expected in manifest["files"].items():
        file = folder / name
        found = file.stat().st_size if file.is_file() else 0
        if found != expected["bytes"]:
            raise UserError(
                f"{file} has {found} bytes where the manifest says {expected['bytes']}: it is truncated; "
                "build the corpus again"
            )
        if sha256(file) != expected["sha256"]:
            raise UserError(f"{file} differs from the manifest's sha256: it is corrupt; build the corpus again")
    return manifest


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = read_json(file)
    except ValueError as error:  # not JSON, or not text
        raise UserError(f"{file} is corrupt ({error}); build the corpus again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{file} does not describe a corpus of format {FORMAT}; build the corpus again")
    return manifest


class Corpus:
    """Random access to (token ids, loss mask) of a checked corpus, memory-mapped."""

    def __init__(self, folder: Path, tokenizer: ChatTokenizer) -> None:
        self.manifest = check(folder, tokenizer)
        self._tokens, self._mask = (IndexedDataset(str(folder / stream)) for stream in _STREAMS)

    def __len__(self) -> int:
        return self.manifest["documents"]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every document."""
        return self._tokens.sequence_lengths

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        # copies: megatron-core unmaps the file with the dataset, and a view that outlives it is a segmentation fault
        return self._tokens[index].copy(), self._mask[index].copy()
