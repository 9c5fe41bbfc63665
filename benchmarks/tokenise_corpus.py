"""Invented questions with chains of thought, of the length and shape of medical ones, as two JSONL files."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from tqdm import tqdm

WORDS = 40_000
"""Distinct words at most; drawn by Zipf's law, as those of a language are."""


class Writer:
    """Sentences of the tokenizer's own words, the frequent ones first, and of compounds of them, which are rare."""

    def __init__(self, tokenizer: Path, seed: int) -> None:
        rng = random.Random(seed)
        vocabulary = json.loads((tokenizer / "tokenizer.json").read_bytes())["model"]["vocab"]
        # byte-level BPE writes the space before a word as this letter, and numbers tokens by how early they merged
        words = [t[1:] for t in sorted(vocabulary, key=vocabulary.get) if re.fullmatch("\u0120[a-z]{2,}", t)]
        compounds = ["".join(rng.choices(words[: WORDS // 4], k=2)) for _ in range(WORDS // 4)]
        self.words = list(dict.fromkeys(words[: WORDS * 3 // 4] + compounds))
        self.weights = list(accumulate(1 / (rank + 2) for rank in range(len(self.words))))

    def sentence(self, rng: random.Random) -> str:
        words = rng.choices(self.words, cum_weights=self.weights, k=rng.randint(6, 24))
        for place in range(len(words)):
            draw = rng.random()
            if draw < 0.06:
                words[place] += ","
            elif draw < 0.08:
                words[place] = f"({words[place]})"
            elif draw < 0.10:
                words[place] = str(rng.randint(1, 300))
        return " ".join(words).capitalize() + "."

    def lessons(self, count: int, seed: int) -> Iterator[tuple[dict, dict]]:
        """Rows of items and chains, about 500 tokens each."""
        for n in range(count):
            rng = random.Random(f"{seed} {n}")
            options = {self.sentence(rng)[:-1] for _ in range(rng.choice((4, 5, 10)))}
            answer = rng.randrange(len(options))
            edges = [{"from": f"N:{rng.randrange(10**7)}", "relation": "has_phenotype", "to": "N:1"} for _ in range(4)]
            item = {
                "id": f"{n:016x}",
                "question": " ".join(self.sentence(rng) for _ in range(rng.randint(3, 7))),
                "options": sorted(options),
                "answer": answer,
                "context": None,
                "source": "kg",
                "language": "en",
                "split": "sft",
                "difficulty": "moderate",
                "provenance": {"licence": "none needed: invented", "edges": edges},
            }
            reasoning = "\n\n".join(
                " ".join(self.sentence(rng) for _ in range(rng.randint(2, 5))) for _ in range(rng.randint(1, 6))
            )
            letter = "ABCDEFGHIJ"[answer]
            yield item, {"item_id": item["id"], "reasoning": reasoning, "letter": letter, "teacher": "invented"}


def write(folder: Path, count: int, tokenizer: Path, seed: int = 1) -> tuple[Path, Path]:
    """items.jsonl and cot.jsonl of so many documents."""
    folder.mkdir(parents=True, exist_ok=True)
    items, chains = folder / "items.jsonl", folder / "cot.jsonl"
    with open(items, "w", encoding="utf-8") as of_items, open(chains, "w", encoding="utf-8") as of_chains:
        lessons = Writer(tokenizer, seed).lessons(count, seed)
        for item, chain in tqdm(lessons, total=count, desc="invent", unit="doc", disable=None):
            of_items.write(json.dumps(item, ensure_ascii=False) + "\n")
            of_chains.write(json.dumps(chain, ensure_ascii=False) + "\n")
    return items, chains


def repeat(folder: Path, items: Path, chains: Path, count: int) -> tuple[Path, Path]:
    """The same lessons under other ids, until there are `count`: to measure memory, not speed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "items.jsonl", folder / "cot.jsonl"
    for source, target, key in zip((items, chains), paths, ('{"id": "', '{"item_id": "'), strict=True):
        lines = source.read_text(encoding="utf-8").split("\n")[:-1]
        with open(target, "w", encoding="utf-8") as out:
            for n in range(count):
                out.write(lines[n % len(lines)].replace(key, f"{key}{n // len(lines):x}-", 1) + "\n")
    return paths
