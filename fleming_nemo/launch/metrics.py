"""The end of a run's metrics.jsonl, read without the rest of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
_TAIL = 1 << 18


def last_rows(folder: Path, count: int = 1) -> list[dict[str, Any]]:
    """The last whole lines, oldest first; as many as a quarter of a megabyte holds."""
    try:
        with open(folder / METRICS, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            text = file.read()
    except FileNotFoundError:
        return []
    lines = text.split(b"\n")[1 if size > _TAIL else 0 : -1]  # what has no end yet is being written, or never will be
    return [json.loads(line) for line in lines[-count:]]


def last_step(folder: Path) -> int | None:
    """The last step that was logged; None before the first."""
    rows = last_rows(folder)
    return rows[-1].get("step") if rows else None
