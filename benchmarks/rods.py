"""Overlap filters against their peers: duplicates in a corpus, and copies of benchmark questions in it.

Peers of decontamination: the scan of all pairs with rapidfuzz's `fuzz.ratio` >= 95, extrapolated from a random sample
of training items, each against every benchmark question (with `process.extract` and a cutoff as Open Thoughts does,
with rapidfuzz's fastest call `cdist`, and as a plain loop), and HuatuoGPT-o1's rule of 64 characters in common. Times
are CPU seconds of all processes together, and seconds on the clock. The corpora are invented; with
--eval, accuracy is measured on real questions: one half of every file is the benchmark, the other half, without exact
copies, is the corpus that should stay.

    pip install rapidfuzz
    python benchmarks/rods.py --items 200000 --benchmark 15000 --workers 2
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rapidfuzz import fuzz, process
from rods_corpus import Exam

from fleming_nemo.config.errors import reported
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry, read_benchmarks
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates, exact_key
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.near import drop_near_duplicates
from fleming_nemo.rods.overlap.planted import MORE_KINDS, SIX_KINDS, plant

Result = TypeVar("Result")
RATIO = 95
WINDOW = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000, help="training items (default: %(default)s)")
    parser.add_argument("--benchmark", type=int, default=15_000, help="benchmark questions (default: %(default)s)")
    parser.add_argument(
        "--sample", type=int, default=200, help="items in the sample of the scan (default: %(default)s)"
    )
    parser.add_argument("--planted", type=int, default=1000, help="planted copies of six kinds (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of ours (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of corpora and copies (default: %(default)s)")
    parser.add_argument("--eval", type=Path, help="folder of benchmark files (*.jsonl, *.jsonl.gz) in the item schema")
    parser.add_argument("--report", type=Path, help="write the removed real items that nobody planted to this file")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        exam = Exam(args.seed)
        corpus, benchmark = exam.questions(args.items, "item"), exam.questions(args.benchmark, "asked")
        duplicates(corpus, args.workers, args.seed)
        speed(corpus, benchmark, args)
        if args.eval:
            files = sorted(p for p in args.eval.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz")))
            benchmarks, rejects = read_benchmarks(files)
            print(
                f"\nreal questions: {', '.join(f'{n} {len(e)}' for n, e in benchmarks.items())}; "
                f"{len(rejects)} bad rows"
            )
            asked, stay = halves(benchmarks, args.seed)
        else:
            asked, stay = {"invented": benchmark}, corpus[:20_000]
        accuracy(asked, stay, args)


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


def speed(corpus: Sequence[Entry], benchmark: Sequence[Entry], args: argparse.Namespace) -> None:
    """Ours on everything, the scan on a sample."""
    index, cpu_index, clock_index = timed(lambda: BenchmarkIndex({"asked": benchmark}))
    result, cpu, clock = timed(lambda: decontaminate(corpus, index, args.workers))
    print(f"\ndecontamination of {len(corpus)} items against {len(benchmark)} questions")
    print(f"  ours: index {cpu_index:.1f} s CPU, items {cpu:.1f} s CPU; {clock_index + clock:.1f} s on the clock")
    print(f"  ours: {args.workers} processes, {result.counts['removed']} items removed")
    ours = cpu_index + cpu
    asked = [e.question for e in benchmark]
    sample = [e.question for e in random.Random(args.seed).sample(list(corpus), min(args.sample, len(corpus)))]
    scale = len(corpus) / len(sample)
    _, scan, _ = timed(lambda: [process.extract(q, asked, scorer=fuzz.ratio, score_cutoff=RATIO) for q in sample])
    _, fast, _ = timed(lambda: process.cdist(sample, asked, scorer=fuzz.ratio, score_cutoff=RATIO, workers=1))
    few = sample[: max(1, len(sample) // 20)]
    _, plain, _ = timed(lambda: [sum(fuzz.ratio(q, other) >= RATIO for other in asked) for q in few])
    plain *= len(sample) / len(few)
    for name, spent in (("extract with cutoff", scan), ("cdist with cutoff", fast), ("plain loop, no cutoff", plain)):
        whole = spent * scale
        print(
            f"  rapidfuzz, {name}: {whole:.0f} s CPU, from {spent:.2f} s for {len(sample)}; {whole / ours:.0f} x ours"
        )
    _, windows, _ = timed(lambda: overlapping(corpus, benchmark))
    print(f"  64 characters (set):     {windows:.1f} s CPU")


def overlapping(items: Sequence[Entry], benchmark: Sequence[Entry]) -> set[str]:
    """Ids of items whose question has 64 characters in a row in common with a benchmark question."""
    seen = {text[at : at + WINDOW] for text in (e.question for e in benchmark) for at in range(len(text) - WINDOW + 1)}
    return {
        e.id for e in items if any(e.question[at : at + WINDOW] in seen for at in range(len(e.question) - WINDOW + 1))
    }


def alike(items: Sequence[Entry], benchmark: Sequence[Entry]) -> set[str]:
    """Ids of items that the rapidfuzz scan finds."""
    asked = [e.question for e in benchmark]
    return {e.id for e in items if process.extractOne(e.question, asked, scorer=fuzz.ratio, score_cutoff=RATIO)}


def halves(benchmarks: dict[str, list[Entry]], seed: int) -> tuple[dict[str, list[Entry]], list[Entry]]:
    """One half of every benchmark to be asked, and the other halves without exact copies of what is asked."""
    asked: dict[str, list[Entry]] = {}
    rest: list[Entry] = []
    for name, entries in benchmarks.items():
        mixed = random.Random(seed).sample(entries, len(entries))
        asked[name] = mixed[: len(mixed) // 2]
        rest += mixed[len(mixed) // 2 :]
    keys = {exact_key(e) for entries in asked.values() for e in entries}
    return asked, [e for e in rest if exact_key(e) not in keys]


def accuracy(asked: dict[str, list[Entry]], stay: list[Entry], args: argparse.Namespace) -> None:
    """Recall per kind of copy, and what else was removed."""
    benchmark = [e for entries in asked.values() for e in entries]
    index = BenchmarkIndex(asked)
    six = plant(benchmark, SIX_KINDS, args.planted, args.seed)
    more = [
        (k, o, e._replace(id=f"more-{e.id}")) for k, o, e in plant(benchmark, MORE_KINDS, args.planted // 2, args.seed)
    ]
    found = {}
    result = decontaminate([*stay, *(e for _, _, e in six + more)], index, args.workers)
    found["ours"] = {row["id"] for row in result.removed}
    items = [*stay, *(e for _, _, e in six + more)]
    found[f"ratio >= {RATIO}"] = alike(items, benchmark)
    found[f"{WINDOW} characters"] = overlapping(items, benchmark)
    print(f"\n{len(six)} copies of six kinds and {len(more)} of more kinds among {len(stay)} other items, "
          f"{len(benchmark)} benchmark questions")  # fmt: skip
    print(f"| {'kind':22} | copies |" + "".join(f" {name:>13} |" for name in found))
    totals = Counter(kind for kind, _, _ in six + more)
    for kind, total in totals.items():
        shares = [sum(e.id in ids for k, _, e in six + more if k == kind) / total for ids in found.values()]
        print(f"| {kind:22} | {total:6} |" + "".join(f" {share:13.3f} |" for share in shares))
    others = {e.id for e in stay}
    for title, copies in (("recall, six kinds", six), ("recall, all kinds", six + more)):
        shares = [sum(e.id in ids for _, _, e in copies) / len(copies) for ids in found.values()]
        print(f"| {title:22} | {len(copies):6} |" + "".join(f" {share:13.3f} |" for share in shares))
    wrong = [len(ids & others) for ids in found.values()]
    print(f"| {'other items removed':22} | {len(stay):6} |" + "".join(f" {count:13} |" for count in wrong))
    if args.report:
        write_report(args.report, [r for r in result.removed if r["id"] in others], {e.id: e for e in stay + benchmark})


def write_report(path: Path, rows: list[dict], entries: dict[str, Entry]) -> None:
    """Pairs to judge by eye: many are real near copies that the benchmark has between its own halves."""
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            hit = row["hits"][0]
            ours, theirs = entries[row["id"]], entries[hit["id"]]
            out.write(f"{hit['reason']} | question {hit['question']} | options {hit['options']} | {hit['span']}\n")
            out.write(f"  item      {ours.question} {list(ours.options)}\n")
            out.write(f"  benchmark {theirs.question} {list(theirs.options)}\n")


if __name__ == "__main__":
    main()
