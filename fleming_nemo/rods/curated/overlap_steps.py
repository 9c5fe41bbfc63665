"""Duplicates and decontamination (`rods.overlap`) as steps of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.curated.filters import reject_item
from fleming_nemo.rods.curated.plan import Plan
from fleming_nemo.rods.curated.rejects import Refused, Reject, reject
from fleming_nemo.rods.curated.steps import ItemStep, Stepped
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry, read_benchmarks
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates
from fleming_nemo.rods.overlap.hits import hits_per_benchmark, told
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.near import drop_near_duplicates


def overlap_steps(plan: Plan, workers: int) -> tuple[list[tuple[str, ItemStep]], list[Reject]]:
    """The steps that the plan asks for, and the rows of benchmark files that are no questions.

    Raises UserError when a benchmark file cannot be read or holds not one question.
    """
    steps: list[tuple[str, ItemStep]] = []
    rejects: list[Reject] = []
    if plan.duplicates:
        steps.append(("exact duplicates", partial(_exact, workers=workers)))
        steps.append(("near duplicates", partial(_near, workers=workers)))
    if plan.benchmarks:
        benchmarks, bad = read_benchmarks(plan.benchmarks)
        rejects = [benchmark_reject(row) for row in bad]
        steps.append(("decontaminate", partial(_clean, benchmarks=benchmarks, workers=workers)))
    return steps, rejects


def benchmark_reject(row: Mapping[str, Any]) -> Reject:
    """A row of a benchmark file that could not be compared with: no item, but the corpus was not checked against it."""
    refused = Refused(row["field"], f"benchmark row not compared: {row['reason']}")
    return reject(row["file"], row["row"], refused, row["raw"])


def _exact(items: Sequence[QAItem], workers: int) -> Stepped:
    result = drop_exact_duplicates(items, workers)
    return Stepped(result.kept, [_twin(items, row) for row in result.removed])


def _near(items: Sequence[QAItem], workers: int) -> Stepped:
    result = drop_near_duplicates(items, workers=workers)
    return Stepped(result.kept, [_twin(items, row) for row in result.removed])


def _clean(items: Sequence[QAItem], benchmarks: Mapping[str, Sequence[Entry]], workers: int) -> Stepped:
    index = BenchmarkIndex(benchmarks)
    result = decontaminate(items, index, workers)
    rejects = []
    for row in result.removed:
        rejects.append(reject_item(items[row["row"]], Refused("question", told(row))))
    return Stepped(result.kept, rejects, {"benchmarks": hits_per_benchmark(result.removed, index)})


def _twin(items: Sequence[QAItem], row: dict[str, object]) -> Reject:
    kind = f"{row['reason']} duplicate" + (" with another answer" if row["answers_differ"] else "")
    return reject_item(items[int(str(row["row"]))], Refused("question", f"{kind}: of {row['kept_id']}"))
