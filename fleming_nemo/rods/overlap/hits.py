"""Hits of a decontamination counted per benchmark, for the data card."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fleming_nemo.rods.overlap.index import BenchmarkIndex


def hits_per_benchmark(removed: Iterable[Mapping[str, Any]], index: BenchmarkIndex) -> dict[str, dict[str, Any]]:
    """{benchmark: {questions, items, rules: {rule: items}}} from the report rows of `decontaminate`.

    `questions` is the benchmark's size; `items` counts training items with a hit in it, each under the rule of its
    surest hit there, so rules add up to items. An item that hits two benchmarks counts in both. Benchmarks without
    a hit are listed with 0.
    """
    rules: dict[str, Counter[str]] = {name: Counter() for name in index.sizes}
    for row in removed:
        # Hits come surest first.
        surest = {hit["benchmark"]: hit["reason"] for hit in reversed(row["hits"])}
        for name, rule in surest.items():
            rules[name][rule] += 1
    return {
        name: {"questions": index.sizes[name], "items": found.total(), "rules": dict(sorted(found.items()))}
        for name, found in rules.items()
    }


def told(row: dict[str, Any]) -> str:
    """The surest hit of a removed item, as the reason in a rejects file."""
    hit = row["hits"][0]
    return f"in benchmark {hit['benchmark']}: {hit['reason']}, item {hit['id']}"
