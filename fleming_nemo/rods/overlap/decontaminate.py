"""Training items that repeat a benchmark question, found through an index and removed with a reason.

Unlike the usual scan of all pairs with a fuzzy ratio, only pairs that share a rare word, a pair of words, an option or
a long passage are compared. Weights come from the benchmarks alone, so what happens to an item depends on no other
training item, and the result is the same for any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap.candidates import candidates_of
from fleming_nemo.rods.overlap.columns import columns_of
from fleming_nemo.rods.overlap.entries import Entry, entry_of
from fleming_nemo.rods.overlap.hits import hits_per_benchmark
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.profiles import Profiles
from fleming_nemo.rods.overlap.screen import worth_judging
from fleming_nemo.rods.overlap.shards import map_chunks
from fleming_nemo.rods.overlap.spans import matched_span
from fleming_nemo.rods.overlap.verdict import Evidence, Verdict, judge
from fleming_nemo.rods.overlap.weighed import Weighed

_MOST_HITS = 20


@dataclass(slots=True)
class Decontamination:
    """Items without a hit in their order, one report row per removed item, and counts for the data card."""

    kept: list[Any]
    removed: list[dict[str, Any]]
    """Rows {id, row, question, hits}; a hit is {benchmark, id, reason, score, question, options, span}."""
    counts: dict[str, Any] = field(default_factory=dict)


def decontaminate(items: Sequence[QAItem | Entry], index: BenchmarkIndex, workers: int = 1) -> Decontamination:
    """Split items into clean ones and copies of benchmark questions.

    `row` in a report row is the item's position. An item keeps one hit, the surest, per benchmark question, and at most
    20 hits. Raises nothing for odd content: empty questions, no options and questions of any length are fine.
    """
    chunks = map_chunks(partial(_chunk, index), items, workers, "decontaminate")
    rows = [row for chunk in chunks for row in chunk]
    gone = {row["row"] for row in rows}
    counts = {"items": len(items), "removed": len(rows), "benchmarks": hits_per_benchmark(rows, index)}
    return Decontamination([item for at, item in enumerate(items) if at not in gone], rows, counts)


def _chunk(index: BenchmarkIndex, first: int, items: Sequence[QAItem | Entry]) -> list[dict[str, Any]]:
    columns = columns_of([entry_of(item) for item in items])
    weighed = Weighed(columns, index.rarity, index.phrases)
    found = candidates_of(weighed, index)
    profiles = Profiles(weighed)
    hits: dict[int, list[tuple[Verdict, int]]] = {}
    for at in worth_judging(weighed, found, index).tolist():
        number, entry = int(found.item[at]), int(found.entry[at])
        evidence = Evidence(
            int(found.letters[at]), int(found.context_letters[at]), float(found.run[at]), bool(found.same[at])
        )
        verdict = judge(profiles[number], index.profiles[entry], evidence)
        if verdict is not None:
            hits.setdefault(number, []).append((verdict, entry))
    return [_row(first, columns.entries[number], found, number, index) for number, found in sorted(hits.items())]


def _row(
    first: int, item: Entry, found: list[tuple[Verdict, int]], number: int, index: BenchmarkIndex
) -> dict[str, Any]:
    found.sort(key=lambda hit: (-hit[0].score, hit[1]))
    return {
        "id": item.id,
        "row": first + number,
        "question": item.question[:500],
        "hits": [
            {
                "benchmark": index.benchmark[entry],
                "id": index.entries[entry].id,
                "reason": verdict.reason,
                "score": verdict.score,
                "question": verdict.question,
                "options": verdict.options,
                "span": matched_span(item, index.entries[entry]),
            }
            for verdict, entry in found[:_MOST_HITS]
        ],
        "more_hits": max(0, len(found) - _MOST_HITS),
    }
