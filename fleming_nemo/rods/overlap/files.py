"""Decontamination of a file of items against benchmark files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_json, write_jsonl, write_text
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import read_benchmarks, read_lines
from fleming_nemo.rods.overlap.index import BenchmarkIndex

_ENDINGS = (".jsonl", ".jsonl.gz")
_BESIDE = ("removed.jsonl", "rejects.jsonl", "hits.json")


def benchmark_files(paths: Iterable[Path]) -> list[Path]:
    """The files given, and of every folder its *.jsonl and *.jsonl.gz files by name. UserError where there are none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.name.endswith(_ENDINGS)) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no *.jsonl or *.jsonl.gz in this folder; give one with benchmark files.")
        found += inside
    return found


def decontaminate_file(items: Path, against: Sequence[Path], out: Path, workers: int = 1) -> dict[str, Any]:
    """Write the items of a JSONL(.gz) file that copy no benchmark question to `out`, line for line as they were.

    Beside it stand OUT.removed.jsonl (a row per removed item: its line in the file from 1, id, question,
    hits), OUT.rejects.jsonl (rows of any file that cannot be read:
    file, row, field, reason, raw) and OUT.hits.json, the counts that are returned: {items, removed, rejects,
    benchmarks: as hits_per_benchmark gives them}. Raises UserError for a file that cannot be read, a benchmark without
    one readable question, and an `out` that is one of the files read.
    """
    files = benchmark_files(against)
    beside = {name: out.with_name(f"{out.name.removesuffix('.jsonl')}.{name}") for name in _BESIDE}
    read = {path.resolve() for path in (items, *files)}
    for path in (out, *beside.values()):
        if path.resolve() in read:
            raise UserError(f"{path}: would be written over, and it is one of the files read; give another --out.")
    benchmarks, rejects = read_benchmarks(files)
    for name, questions in benchmarks.items():
        if not questions:
            raise UserError(f"benchmark {name}: no row can be read as a question; check the file or leave it out.")
    entries, lines, bad = read_lines(items)
    result = decontaminate(entries, BenchmarkIndex(benchmarks), workers)
    gone = {row["row"] for row in result.removed}
    removed = [{"line": lines[row["row"]][0]} | row for row in result.removed]
    counts = {**result.counts, "rejects": len(rejects) + len(bad)}
    write_jsonl(beside["removed.jsonl"], removed)
    write_jsonl(beside["rejects.jsonl"], [*bad, *rejects])
    write_json(beside["hits.json"], counts)
    # The clean file comes last: where it stands, its report is complete.
    write_text(out, "".join(line.decode("utf-8") + "\n" for at, (_, line) in enumerate(lines) if at not in gone))
    return counts
