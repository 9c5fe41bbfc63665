"""Counts of the shards put together, by step and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def read_tally(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows in and items out of all files, by source."""
    sources: dict[str, dict[str, Any]] = {}
    for read in counts:
        # rows of an items file have a source each; those that are no item have none
        lost = read["rows"] - sum(read["kept"].values())
        for source, n in [*read["kept"].items(), *([(read["source"], 0)] if lost else [])]:
            into = sources.setdefault(source, {"in": 0, "kept": 0, "reasons": {}})
            into["in"] += n
            into["kept"] += n
        if lost:
            sources[read["source"]]["in"] += lost
            reasons = sources[read["source"]]["reasons"]
            for kind, n in read["reasons"].items():
                reasons[kind] = reasons.get(kind, 0) + n
    return {"step": "read", "sources": dict(sorted(sources.items())), "changes": {}}


def summed(name: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One step over all parts."""
    sources: dict[str, dict[str, Any]] = {}
    changes: dict[str, int] = {}
    for part in parts:
        for kind, n in part["changes"].items():
            changes[kind] = changes.get(kind, 0) + n
        for source, found in part["sources"].items():
            into = sources.setdefault(source, {"in": 0, "kept": 0, "reasons": {}})
            into["in"] += found["in"]
            into["kept"] += found["kept"]
            for kind, n in found["reasons"].items():
                into["reasons"][kind] = into["reasons"].get(kind, 0) + n
    return {"step": name, "sources": dict(sorted(sources.items())), "changes": dict(sorted(changes.items()))}
