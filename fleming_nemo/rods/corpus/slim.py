"""Synthesised items without the bulk of their provenance: a hundred thousand of them take 200 MB instead of 2 GB."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import SPLITS

PART = 5_000
_KEPT = ("family", "group", "licence")
"""Fields of the provenance that counts are taken over; `path` is kept apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a file of items: what one worker checks at a time."""

    path: Path
    start: int
    """First byte."""
    stop: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Synthesised:
    """All items in the order of the files; `paths[n]` holds the graph nodes that item n asks about."""

    items: list[QAItem]
    paths: list[tuple[str, ...]]
    parts: list[Part]


def item_files(folder: Path) -> list[Path]:
    return [folder / f"items_{split}.jsonl" for split in SPLITS]


def read_synthesised(folder: Path) -> Synthesised:
    """Read what `rods.synth` wrote in `folder`."""
    found = Synthesised([], [], [])
    for path in item_files(folder):
        digest, start, at, count = hashlib.sha256(), 0, 0, 0
        with open(path, "rb") as lines:
            for line in lines:
                row = json.loads(line)
                found.items.append(slim(row))
                found.paths.append(tuple(map(sys.intern, row["provenance"]["path"])))
                digest.update(line)
                at, count = at + len(line), count + 1
                if count == PART:
                    found.parts.append(Part(path, start, at, digest.hexdigest()))
                    digest, start, count = hashlib.sha256(), at, 0
        if count:
            found.parts.append(Part(path, start, at, digest.hexdigest()))
    return found


def slim(row: dict[str, Any]) -> QAItem:
    """The item of a row with only what is counted later."""
    provenance = {name: sys.intern(str(row["provenance"][name])) for name in _KEPT if name in row["provenance"]}
    options = tuple(map(sys.intern, row["options"]))
    return QAItem(**(row | {"options": options, "provenance": provenance}))


def part_rows(part: Part) -> list[dict[str, Any]]:
    with open(part.path, "rb") as file:
        file.seek(part.start)
        return [json.loads(line) for line in file.read(part.stop - part.start).splitlines()]


def with_difficulty(item: QAItem, difficulty: str) -> QAItem:
    return item if item.difficulty == difficulty else replace(item, difficulty=difficulty)
