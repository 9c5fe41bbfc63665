"""Rows of a data set on the Hugging Face hub, at one pinned commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.curated.mapping import Mapping
from fleming_nemo.rods.curated.tables import Row


def check_revision(hub: str, revision: str) -> None:
    """UserError unless the revision is a commit: a branch gives other rows next month."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise UserError(
            f"{hub}: revision {revision!r} is no commit; give the 40 hexadecimal digits that the data set's page shows "
            f"under Files -> History."
        )


def hub_rows(mapping: Mapping, hub: str, config: str, revision: str, split: str) -> Iterator[Row]:
    """Rows of a split, numbered from 1.

    Raises UserError when `datasets` is not installed, the hub cannot be reached, or the split lacks a column.
    """
    check_revision(hub, revision)
    try:
        import datasets
    except ImportError as error:
        raise UserError(f"{hub}: reading from the hub needs `pip install fleming-nemo[data]`.") from error
    needed = list(mapping.columns())
    try:
        table: Any = datasets.load_dataset(hub, config or None, split=split, revision=revision)
    # The library lets through whatever its HTTP client, file system and parsers raise; to the user it is one thing.
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        raise UserError(
            f"{hub} at {revision[:12]}, split {split} could not be loaded from the hub ({cause}). Without the hub: "
            f"download the files of that commit on a machine that reaches it (JSON Lines, JSON, CSV, TSV or Parquet "
            f"with the columns {', '.join(needed)}) and name them in the plan as `files: [PATH]` instead of `revision`."
        ) from error
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise UserError(
            f"{hub}: no column {', '.join(missing)}; it has {', '.join(table.column_names)}: fix the mapping."
        )
    for number, row in enumerate(table.select_columns(needed), 1):
        yield number, dict(row), row
