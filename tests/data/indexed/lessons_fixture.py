"""Small files of items and chains, and a tokenizer that splits text as Qwen's does."""

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from fleming_nemo.data.indexed import encode
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer

FINDINGS = ["a murmur", "optic atrophy", "diabetes mellitus", "Sjögren's  syndrome", "肝硬化", "a 12-mm cyst (left)"]


def qwen_like(folder: Path) -> ChatTokenizer:
    """Normaliser, split and added tokens of Qwen2.5, in which <think> is text; with merges of a few sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(encode._SPLITS[0]), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[
            AddedToken(t, special=True, normalized=False) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [f"<think>\nThe patient has {f}. It isn't B.\n</think>\n\n<answer>A</answer>" for f in FINDINGS] * 3
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return ChatTokenizer(folder)


def items(count: int, seed: int = 0) -> list[QAItem]:
    rng = random.Random(seed)
    made = []
    for n in range(count):
        options = tuple(f"{finding} ({n})" for finding in rng.sample(FINDINGS, 4))
        question = f"Patient {n} has {rng.choice(FINDINGS)} and {rng.choice(FINDINGS)}. What explains it?"
        provenance = {"licence": "CC0"} if n % 3 else {}
        source = "kg" if n % 3 else "curated"
        made.append(QAItem(f"id{n}é", question, options, rng.randrange(4), None, source, "en", "sft", None, provenance))
    return made


def chain(item: QAItem, **changes: object) -> dict[str, object]:
    words = random.Random(item.id).choices(FINDINGS, k=int(item.id[2:-1]) % 7 + 1)
    reasoning = f"The patient has {'; '.join(words)}.\n\nSo it is {item.options[0]}?  No."
    row = {"item_id": item.id, "reasoning": reasoning, "letter": item.letter, "teacher": "graph-offline"}
    return row | changes


def write(folder: Path, of: list[QAItem], chains: list[dict[str, object]]) -> tuple[Path, Path]:
    """items.jsonl and cot.jsonl; every second line with characters escaped, as other writers do."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "items.jsonl", folder / "cot.jsonl"
    for path, rows in zip(paths, ([asdict(item) for item in of], chains), strict=True):
        lines = [json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return paths


def open_ended(item: QAItem) -> QAItem:
    return replace(item, options=(), answer="lupus")
