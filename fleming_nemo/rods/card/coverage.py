"""How often each entity of a knowledge graph is mentioned, and how many rare ones the corpus reaches.

A mention is a whole name or synonym, compared word by word without case ("marfan syndrome" in "Marfan syndrome's");
Chinese names are looked for as they are. An item counts once for an entity. "Rare" is an entity with fewer than 5
mentions in the curated data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem

RARE_BELOW = 5
_WORD = re.compile(r"[a-z0-9]+")
_SHORTEST_NAME = 4


@dataclass(frozen=True)
class Entity:
    id: str
    type: str
    names: tuple[str, ...]


def graph_entities(folder: Path, types: Sequence[str] = ("disease", "drug")) -> list[Entity]:
    """Entities of a graph folder (nodes.parquet: id, type, name, synonyms, name_zh). UserError if it cannot be read."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{folder}: reading the graph needs pyarrow; install it with `pip install pyarrow`.") from error
    try:
        table: Any = parquet.read_table(folder / "nodes.parquet", columns=["id", "type", "name", "synonyms", "name_zh"])
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(
            f"{folder}: no readable nodes.parquet ({error}); build it with data_prep/build_kg.py."
        ) from error
    return [
        Entity(row["id"], row["type"], tuple(n for n in (row["name"], *(row["synonyms"] or ()), row["name_zh"]) if n))
        for row in table.to_pylist()
        if row["type"] in types
    ]


class MentionFinder:
    """Names of many entities, found in one pass over a text."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._words: dict[tuple[str, ...], set[str]] = {}
        self._lengths: dict[str, set[int]] = {}
        self._scripts: dict[str, dict[str, set[str]]] = {}
        for entity in entities:
            for name in entity.names:
                self._add(entity.id, name)

    def _add(self, identity: str, name: str) -> None:
        if not name.isascii() and any("\u4e00" <= c <= "\u9fff" for c in name):
            if len(name) >= 2:  # one character is a word of its own far too often
                self._scripts.setdefault(name[:2], {}).setdefault(name, set()).add(identity)
            return
        words = tuple(_WORD.findall(name.lower()))
        if len("".join(words)) < _SHORTEST_NAME:  # "ALS", "or": mostly something else
            return
        self._words.setdefault(words, set()).add(identity)
        self._lengths.setdefault(words[0], set()).add(len(words))

    def find(self, text: str) -> set[str]:
        """Identifiers of the entities that the text names."""
        found: set[str] = set()
        words = _WORD.findall(text.lower())
        for start, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                found |= self._words.get(tuple(words[start : start + length]), set())
        if self._scripts and not text.isascii():
            for start in range(len(text) - 1):
                for name, identities in self._scripts.get(text[start : start + 2], {}).items():
                    if text.startswith(name, start):
                        found |= identities
        return found


def mentions(items: Iterable[QAItem], finder: MentionFinder) -> Counter[str]:
    """Number of items that name each entity, in question, options or context."""
    counts: Counter[str] = Counter()
    for item in items:
        counts.update(finder.find("\n".join((item.question, *item.options, item.context or ""))))
    return counts


def coverage(
    entities: Sequence[Entity], before: Counter[str], after: Counter[str], below: int = RARE_BELOW
) -> dict[str, Any]:
    """By type: entities, those mentioned at all, rare ones (fewer than `below` mentions before), those reached.

    `before` counts the curated data alone, `after` the corpus as it will be used.
    """
    report: dict[str, Any] = {}
    for kind in sorted({e.type for e in entities}):
        ids = [e.id for e in entities if e.type == kind]
        rare = [i for i in ids if before[i] < below]
        report[kind] = {
            "entities": len(ids),
            "mentioned_before": sum(before[i] > 0 for i in ids),
            "mentioned_after": sum(after[i] > 0 for i in ids),
            "rare": len(rare),
            "rare_covered_before": sum(before[i] > 0 for i in rare),
            "rare_covered_after": sum(after[i] > 0 for i in rare),
            "rare_below": below,
        }
    return report
