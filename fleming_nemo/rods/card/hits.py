"""Hits of a corpus in each benchmark, for the card: benchmarks without a hit are in it too, with zeros."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def benchmark_hits(
    removed: Iterable[Mapping[str, Any]], benchmarks: Mapping[str, Sequence[object]]
) -> dict[str, dict[str, Any]]:
    """benchmark -> {questions: its size, items: training items with a hit in it, rules: items by the surest rule}.

    `removed` are the rows of `overlap.decontaminate`, whose hits are ordered from the surest one.
    """
    rules: dict[str, Counter[str]] = {name: Counter() for name in benchmarks}
    for row in removed:
        surest: dict[str, str] = {}
        for hit in row["hits"]:
            surest.setdefault(hit["benchmark"], hit["reason"])
        for name, rule in surest.items():
            rules[name][rule] += 1
    return {
        name: {"questions": len(entries), "items": rules[name].total(), "rules": dict(sorted(rules[name].items()))}
        for name, entries in benchmarks.items()
    }
