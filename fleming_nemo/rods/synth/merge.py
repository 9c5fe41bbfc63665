"""What a shard leaves on disk, and how shards become one corpus without repeated questions.

Option lists are taken or left as a whole: if single questions were dropped, those that remain would tell by their
options which answers had been asked often.
"""

import hashlib
import json
import os
from collections import Counter
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import read_json, write_jsonl
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import SPLITS

_FIELDS = [field.name for field in fields(QAItem)]
REPEATS = 3
"""The same facts (path and findings) are asked at most so often, each time with other options."""


def write_shard(folder: Path, split: str, number: int, items: list[QAItem], counts: Counter[str]) -> None:
    """Items first, completion marker last."""
    write_jsonl(items_path(folder, split, number), ({name: getattr(item, name) for name in _FIELDS} for item in items))
    groups = [list(rows) for _, rows in groupby(map(_row, items), key=lambda row: row["group"])]
    # One row: indented JSON takes ten times as long to write.
    write_jsonl(marker_path(folder, split, number), [{"counts": dict(sorted(counts.items())), "groups": groups}])


def _row(item: QAItem) -> dict[str, Any]:
    """What merging has to know of an item."""
    p = item.provenance
    cells = [p["family"], item.language, str(item.difficulty), str(len(item.options))]
    key = _key(item.question, item.options)
    return {"group": p["group"], "key": key, "subgraph": p["subgraph"], "cells": cells, "path": p["path"]}


def _key(question: str, options: tuple[str, ...]) -> str:
    """The same question with the options in another order is the same question."""
    return hashlib.sha256(json.dumps([question, sorted(options)]).encode()).hexdigest()[:24]


def merge(folder: Path, out: Path, sizes: dict[str, int], made: dict[str, int]) -> dict[str, Any]:
    """Concatenate the shards up to the size of each split; only markers are parsed."""
    counts: Counter[str] = Counter()
    cells: dict[str, Counter[str]] = {name: Counter() for name in ("family", "language", "difficulty", "options")}
    accepted: dict[str, int] = {}
    asked: Counter[str] = Counter()
    seen: set[str] = set()
    uses: Counter[str] = Counter()
    for split in SPLITS:
        accepted[split] = 0
        target = out / f"items_{split}.jsonl"
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with open(temporary, "w", encoding="utf-8") as merged:
            for number in range(made[split]):
                facts = read_json(marker_path(folder, split, number))
                counts.update(facts["counts"])
                with open(items_path(folder, split, number), encoding="utf-8", newline="\n") as lines:
                    for rows in facts["groups"]:
                        texts = [next(lines) for _ in rows]
                        # Whole option lists only: dropping single questions would tell the options that are left.
                        if any(row["key"] in seen for row in rows):
                            counts["refused: asked before"] += len(rows)
                            continue
                        if any(uses[row["subgraph"]] >= REPEATS for row in rows):
                            counts["refused: its facts were asked often enough"] += len(rows)
                            continue
                        taken = rows[: sizes[split] - accepted[split]]
                        counts["left over"] += len(rows) - len(taken)
                        accepted[split] += len(taken)
                        merged.writelines(texts[: len(taken)])
                        for row in taken:
                            seen.add(row["key"])
                            uses[row["subgraph"]] += 1
                            asked.update(set(row["path"]))
                            for name, value in zip(cells, row["cells"], strict=True):
                                cells[name][value] += 1
            merged.flush()
            os.fsync(merged.fileno())
        os.replace(temporary, target)
    return {
        "counts": dict(sorted(counts.items())),
        "accepted": accepted,
        "by": {name: dict(sorted(counter.items())) for name, counter in cells.items()},
        "asked_about": asked,
    }


def marker_path(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.json"


def items_path(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.jsonl"
