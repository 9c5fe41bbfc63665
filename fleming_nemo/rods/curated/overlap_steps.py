"""Duplicates and decontamination (`rods.overlap`) as steps of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.curated.filters import reject_item
from fleming_nemo.rods.curated.plan import Plan
from fleming_nemo.rods.curated.rejects import Refused, Reject
from fleming_nemo.rods.curated.steps import ItemStep
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import read_benchmarks
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.near import drop_near_duplicates


def overlap_steps(plan: Plan, workers: int) -> list[tuple[str, ItemStep]]:
    """The steps that the plan asks for. UserError when a benchmark file cannot be read."""
    steps: list[tuple[str, ItemStep]] = []
    if plan.duplicates:
        steps.append(("exact duplicates", partial(_exact, workers=workers)))
        steps.append(("near duplicates", partial(_near, workers=workers)))
    if plan.benchmarks:
        benchmarks, _ = read_benchmarks(plan.benchmarks)
        steps.append(("decontaminate", partial(_clean, index=BenchmarkIndex(benchmarks), workers=workers)))
    return steps


def _exact(items: Sequence[QAItem], workers: int) -> tuple[list[QAItem], list[Reject]]:
    result = drop_exact_duplicates(items, workers)
    return result.kept, [_twin(items, row) for row in result.removed]


def _near(items: Sequence[QAItem], workers: int) -> tuple[list[QAItem], list[Reject]]:
    result = drop_near_duplicates(items, workers=workers)
    return result.kept, [_twin(items, row) for row in result.removed]


def _clean(items: Sequence[QAItem], index: BenchmarkIndex, workers: int) -> tuple[list[QAItem], list[Reject]]:
    result = decontaminate(items, index, workers)
    rejects = []
    for row in result.removed:
        hit = row["hits"][0]
        reason = f"in benchmark {hit['benchmark']}: {hit['reason']}, item {hit['id']}"
        rejects.append(reject_item(items[row["row"]], Refused("question", reason)))
    return result.kept, rejects


def _twin(items: Sequence[QAItem], row: dict[str, object]) -> Reject:
    kind = f"{row['reason']} duplicate" + (" with another answer" if row["answers_differ"] else "")
    return reject_item(items[int(str(row["row"]))], Refused("question", f"{kind}: of {row['kept_id']}"))
