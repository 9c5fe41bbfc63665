"""Duplicates inside a synthesised corpus, and what of it stands in benchmarks: each a stage with its own marker.

Exact duplicates leave. Near duplicates are counted and stay: questions that share an option list and most of their
words ask for different answers, which is what makes them a lesson.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256, write_json
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.corpus.slim import Part
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import read_benchmarks
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates
from fleming_nemo.rods.overlap.hits import hits_per_benchmark, told
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.near import drop_near_duplicates
from fleming_nemo.rods.stages import Shard, run_shards

_SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class Overlaps:
    """`gone`: position -> reason; `sections` of the card; `bad_rows` of the benchmark files."""

    gone: dict[int, str]
    sections: dict[str, Any]
    bad_rows: list[dict[str, Any]]


def find_overlaps(
    items: Sequence[QAItem], parts: Sequence[Part], benchmarks: Sequence[Path], work: Path, workers: int
) -> Overlaps:
    """Both stages. Raises UserError when a benchmark file cannot be read."""
    bytes_of_items = [part.sha256 for part in parts]
    stage = Shard(work / "duplicates", duplicates_step, (items, workers), bytes_of_items)
    sections: dict[str, Any] = {"duplicates": run_shards([stage], 1, "duplicates")[0]}
    gone = {int(row): "exact duplicate" for row in read_json(stage.folder / "exact.json")}
    sections |= {"benchmarks": {}, "benchmark_rows_not_compared": 0}
    if not benchmarks:
        return Overlaps(gone, sections, [])
    against = [[path.name, sha256(path)] for path in benchmarks]
    stage = Shard(work / "decontaminated", decontaminate_step, (items, benchmarks, workers), [bytes_of_items, against])
    counts = run_shards([stage], 1, "decontaminate")[0]
    found = read_json(stage.folder / "removed.json")
    for row in found["removed"]:
        gone.setdefault(row["row"], row["reason"])
    sections |= {"benchmarks": counts, "benchmark_rows_not_compared": len(found["rejects"])}
    return Overlaps(gone, sections, found["rejects"])


def duplicates_step(folder: Path, items: Sequence[QAItem], workers: int) -> dict[str, Any]:
    """Rows of exact duplicates in exact.json; counts of exact and near ones."""
    exact = drop_exact_duplicates(items, workers)
    near = drop_near_duplicates(items, workers=workers)
    across = sum(items[row["row"]].split != items[row["kept_row"]].split for row in near.removed)
    same = sum(not row["answers_differ"] for row in near.removed)
    write_json(folder / "exact.json", [row["row"] for row in exact.removed])
    return {
        "exact, removed": len(exact.removed),
        "near, kept": len(near.removed),
        "near with the same answer": same,
        "near in another split": across,
    }


def decontaminate_step(
    folder: Path, items: Sequence[QAItem], benchmarks: Sequence[Path], workers: int
) -> dict[str, Any]:
    """What is in a benchmark, in removed.json with the surest hit; hits by benchmark."""
    known, bad = read_benchmarks(benchmarks)
    index = BenchmarkIndex(known)
    result = decontaminate(items, index, workers)
    removed = []
    for row in result.removed:
        removed.append({"row": row["row"], "id": row["id"], "reason": told(row)})
    rejects = [row | {"file": Path(row["file"]).name} for row in bad]
    write_json(folder / "removed.json", {"removed": removed, "rejects": rejects})
    return hits_per_benchmark(result.removed, index)


def benchmark_files(folder: Path) -> list[Path]:
    """Files of questions in a folder, by name; UserError when there is none."""
    found = sorted(p for p in folder.glob("*") if p.name.endswith(_SUFFIXES)) if folder.is_dir() else []
    if not found:
        raise UserError(f"{folder}: no {' or '.join(_SUFFIXES)} file in it; give the folder of the benchmarks.")
    return found
