"""One job cut into shards, each distilled by a process of its own, perhaps on another node, and joined to one run.

What is tried for an item depends on the item and the settings alone, and a run is derived from its journal; so the
journals of the shards, one behind the other, are the journal of the whole: the joined files have the bytes of a run
that was never cut.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sync
from fleming_nemo.distill.journal import Journal
from fleming_nemo.distill.run import Job, checked_items, run

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `of`, counted from 1."""

    number: int
    of: int

    @staticmethod
    def parse(text: str) -> Shard:
        """`3/8`; raises UserError for anything else."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise UserError(f"--shard {text}: expected K/N with K from 1 to N, for example 1/8.")
        return Shard(int(number), int(of))

    def folder(self, out: Path) -> Path:
        return out / "shards" / f"{self.number}-of-{self.of}"

    def of_items(self, items: Sequence[Item]) -> Sequence[Item]:
        """A run of neighbours: the shards one behind the other are the whole."""
        cut = [len(items) * k // self.of for k in (self.number - 1, self.number)]
        return items[cut[0] : cut[1]]


def run_shard(job: Job, shard: Shard) -> dict[str, Any]:
    """Distil one shard in a folder below `job.out`; returns its card. The budget holds for the shard."""
    if len(checked_items(job)) < shard.of:
        raise UserError(f"{job.items} holds fewer items than {shard.of} shards; ask for fewer shards.")
    return run(replace(job, out=shard.folder(job.out)), part=shard.of_items)


def join(job: Job, shards: int) -> dict[str, Any]:
    """Make one run of finished shards in `job.out` and return its card; the shards' folders stay.

    Raises:
        UserError: a shard is not finished, or was made from other items or with other settings.
    """
    if shards < 1:
        raise UserError(f"--join {shards}: expected the number of shards, 1 or more.")
    items, journal = checked_items(job), job.out / "attempts.jsonl"
    parts = [Shard(number, shards) for number in range(1, shards + 1)]
    for shard in parts:
        _check(job, shard, [item.id for item in shard.of_items(items)])
    job.out.mkdir(parents=True, exist_ok=True)
    temporary = journal.with_name(f".{journal.name}.tmp")
    with open(temporary, "wb") as whole:
        for shard in parts:
            with open(shard.folder(job.out) / journal.name, "rb") as rows:
                shutil.copyfileobj(rows, whole)
    sync(temporary)
    os.replace(temporary, journal)
    return run(job)  # finds every item decided, and writes what is derived from that


def _check(job: Job, shard: Shard, ids: list[str]) -> None:
    folder = shard.folder(job.out)
    again = f"run it with --shard {shard.number}/{shard.of}"
    if not (folder / "card.json").is_file():
        raise UserError(f"shard {shard.number} of {shard.of} is not finished in {folder}; {again}.")
    job.check_folder(folder)
    with Journal(folder / "attempts.jsonl") as journal:
        if journal.done != ids:
            raise UserError(f"{folder} holds other items than {job.items}; remove it and {again}.")
