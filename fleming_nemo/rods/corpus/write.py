"""The files of the corpus, in one pass over what was synthesised."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleming_nemo.rods.corpus.choose import BEYOND
from fleming_nemo.rods.corpus.round import REVIEW, Round
from fleming_nemo.rods.corpus.slim import item_files
from fleming_nemo.rods.curated.rejects import Refused, Reject, reject
from fleming_nemo.rods.curated.votes import Votes


@dataclass
class Written:
    """Rows in full: those asked for by id, and the rejects."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)


def write_items(found: Round, out: Path, tiers: Sequence[str], by: str, wanted: set[str]) -> Written:
    """Write items_{split}.jsonl of what stays, each item with its tier and what the label check by `by` found.

    `wanted` holds identifiers of items to give back in full. What goes to the review file is no reject, nor is an item
    that is merely one more than asked for.
    """
    full = Written()
    position = 0
    for source in item_files(found.folder):
        target = out / source.name
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with open(source, encoding="utf-8", newline="\n") as lines, open(temporary, "w", encoding="utf-8") as kept:
            for number, line in enumerate(lines, 1):
                reason = found.gone.get(position)
                row = json.loads(line)
                if reason is not None and reason not in (REVIEW, BEYOND):
                    full.rejects.append(reject(source.name, number, Refused("question", reason), row))
                _label(row, tiers[position], found.votes.get(row["id"]), by)
                if row["id"] in wanted:
                    full.rows[row["id"]] = row
                if reason is None:
                    kept.write(json.dumps(row, ensure_ascii=False) + "\n")
                position += 1
            kept.flush()
            os.fsync(kept.fileno())
        os.replace(temporary, target)
    return full


def _label(row: dict[str, Any], tier: str, vote: Votes | None, by: str) -> None:
    row["provenance"]["structural_difficulty"] = row["difficulty"]
    row["difficulty"] = tier
    if vote is not None:
        row["provenance"]["label_check"] = {"by": by, "trials": vote.trials, "right": vote.correct}
