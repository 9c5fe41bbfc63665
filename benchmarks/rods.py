"""Overlap filters against their peers: duplicates in a corpus, and copies of benchmark questions in it.

Peers of decontamination: the scan of all pairs with rapidfuzz's `fuzz.ratio` >= 95 on the question, and HuatuoGPT-o1's
rule of 64 characters in common. Open Thoughts and m1 (which copied it) run the scan as `process.extract` with
`score_cutoff=95`; rapidfuzz's fastest call, `cdist`, and a plain loop stand beside it. The scan is extrapolated from a
random sample of training items, each against every benchmark question, one half timed before ours and one after. Times
are CPU seconds of all processes together, and seconds on the clock.

The corpora are invented; with --eval, accuracy is measured on real questions: one half of every file is the benchmark,
the other half, without exact copies, is the corpus that should stay. Precision counts every removal that nobody planted
as wrong, though many are real near copies that a file has between its own halves (--report writes them down).

    pip install rapidfuzz
    python benchmarks/rods.py --items 200000 --benchmark 15000 --workers 2
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rapidfuzz import fuzz, process
from rods_accuracy import RATIO, accuracy, halves, overlapping
from rods_corpus import Exam, Wards

from fleming_nemo.config.errors import reported
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry, read_benchmark, read_benchmarks
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates
from fleming_nemo.rods.overlap.files import benchmark_files
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.near import drop_near_duplicates

Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000, help="training items (default: %(default)s)")
    parser.add_argument("--benchmark", type=int, default=15_000, help="benchmark questions (default: %(default)s)")
    parser.add_argument(
        "--sample", type=int, default=400, help="items in the sample of the scan (default: %(default)s)"
    )
    parser.add_argument("--planted", type=int, default=1000, help="planted copies of six kinds (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of ours (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of corpora and copies (default: %(default)s)")
    parser.add_argument("--eval", type=Path, help="folder of benchmark files (*.jsonl, *.jsonl.gz) in the item schema")
    parser.add_argument("--own", type=Path, help="JSONL file of synthetic items, which should all stay next to --eval")
    parser.add_argument("--report", type=Path, help="write the removed real items that nobody planted to this file")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        exam = Exam(args.seed)
        corpus, benchmark = exam.questions(args.items, "item"), exam.questions(args.benchmark, "asked")
        duplicates(corpus, args.workers, args.seed)
        speed(corpus, benchmark, args)
        accuracy("invented questions", {"invented": benchmark}, corpus[:20_000], args)
        wards = Wards(args.seed)
        accuracy(
            "patients from one template", {"wards": wards.questions(1000, "asked")}, wards.questions(9000, "item"), args
        )
        if args.eval:
            real(args)


def real(args: argparse.Namespace) -> None:
    """Accuracy on the questions of real benchmark files."""
    benchmarks, rejects = read_benchmarks(benchmark_files([args.eval]))
    found = ", ".join(f"{name} {len(entries)}" for name, entries in benchmarks.items())
    print(f"\nreal questions: {found}; {len(rejects)} bad rows")
    asked, stay = halves(benchmarks, args.seed)
    accuracy("halves of real benchmarks", asked, stay, args, args.report)
    if args.own:
        items, bad = read_benchmark(args.own)
        result = decontaminate(items, BenchmarkIndex(benchmarks), args.workers)
        print(f"\n{args.own.name}: {result.counts['removed']} of {len(items)} own items removed; {len(bad)} bad rows")


def timed(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """Result, CPU seconds of this process and its finished children, seconds on the clock."""
    cpu, clock = _cpu(), time.perf_counter()
    result = work()
    return result, _cpu() - cpu, time.perf_counter() - clock


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def duplicates(corpus: Sequence[Entry], workers: int, seed: int) -> None:
    """Speed and recall on a corpus with 2 % exact and 3 % near copies of earlier items."""
    rng = random.Random(seed)
    copies = rng.sample(list(corpus), len(corpus) // 20)
    cut = len(copies) * 2 // 5
    exact = [e._replace(id=f"x-{e.id}", question=e.question.upper(), options=e.options[::-1]) for e in copies[:cut]]
    near = [
        e._replace(id=f"n-{e.id}", question=f"{e.question} (asked in {rng.randint(1990, 2024)})") for e in copies[cut:]
    ]
    items = [*corpus[: len(corpus) - len(copies)], *exact, *near]
    present = {e.id for e in items}
    first, cpu, clock = timed(lambda: drop_exact_duplicates(items, workers))
    print(f"exact duplicates of {len(items)} items: {cpu:.1f} s CPU, {clock:.1f} s; {first.counts}")
    second, cpu, clock = timed(lambda: drop_near_duplicates(first.kept, workers=workers))
    print(f"near duplicates of {len(first.kept)} items: {cpu:.1f} s CPU, {clock:.1f} s; {second.counts}")
    gone = {row["id"] for row in [*first.removed, *second.removed]}
    for name, made in (("exact", exact), ("near", near)):
        findable = [e for e in made if e.id[2:] in present]
        print(f"  planted {name} copies found: {sum(e.id in gone for e in findable)} of {len(findable)}")
    print(f"  items removed that nobody planted: {sum(not name.startswith(('x-', 'n-')) for name in gone)}")


def scans(sample: Sequence[str], asked: Sequence[str]) -> dict[str, float]:
    """CPU seconds of the scan of some questions in three ways; the plain loop from one question in twenty."""
    few = sample[: max(1, len(sample) // 20)]
    _, extract, _ = timed(lambda: [process.extract(q, asked, scorer=fuzz.ratio, score_cutoff=RATIO) for q in sample])
    _, cdist, _ = timed(lambda: process.cdist(sample, asked, scorer=fuzz.ratio, score_cutoff=RATIO, workers=1))
    _, loop, _ = timed(lambda: [sum(fuzz.ratio(q, other) >= RATIO for other in asked) for q in few])
    return {
        "extract with cutoff (as peers run it)": extract,
        "cdist with cutoff": cdist,
        "plain loop, no cutoff": loop * len(sample) / len(few),
    }


def speed(corpus: Sequence[Entry], benchmark: Sequence[Entry], args: argparse.Namespace) -> None:
    """Ours on everything, the scan on a sample."""
    asked = [e.question for e in benchmark]
    sample = [e.question for e in random.Random(args.seed).sample(list(corpus), min(args.sample, len(corpus)))]
    half = len(sample) // 2
    before = scans(sample[:half], asked)
    index, cpu_index, clock_index = timed(lambda: BenchmarkIndex({"asked": benchmark}))
    result, cpu, clock = timed(lambda: decontaminate(corpus, index, args.workers))
    after = scans(sample[half:], asked)
    print(f"\ndecontamination of {len(corpus)} items against {len(benchmark)} questions")
    print(f"  ours: index {cpu_index:.1f} s CPU, items {cpu:.1f} s CPU; {clock_index + clock:.1f} s on the clock")
    print(f"  ours: {args.workers} processes, {result.counts['removed']} items removed")
    for name, spent in before.items():
        whole = (spent + after[name]) / len(sample) * len(corpus)
        ratio = whole / (cpu_index + cpu)
        print(f"  rapidfuzz, {name}: {whole:.0f} s CPU, {ratio:.0f} x ours (from {len(sample)} items)")
    _, windows, _ = timed(lambda: overlapping(corpus, benchmark))
    print(f"  64 characters (set):     {windows:.1f} s CPU")


if __name__ == "__main__":
    main()
