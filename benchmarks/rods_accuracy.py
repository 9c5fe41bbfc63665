"""How many planted copies a decontamination finds and what else it takes, next to its peers, for benchmarks/rods.py."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rapidfuzz import fuzz, process

from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.exact import exact_key
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.planted import MORE_KINDS, SIX_KINDS, plant

RATIO = 95
WINDOW = 64


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


def accuracy(
    title: str,
    asked: dict[str, list[Entry]],
    stay: list[Entry],
    args: argparse.Namespace,
    report: Path | None = None,
) -> None:
    """Recall per kind of copy, what else was removed, and the precision that follows, over the six kinds only."""
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
    print(f"\n{title}: {len(six)} copies of six kinds and {len(more)} of more kinds among {len(stay)} other items, "
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
    shares = [
        (right := sum(e.id in ids for _, _, e in six)) / max(right + len(ids & others), 1) for ids in found.values()
    ]
    print(f"| {'precision, six kinds':22} | {len(six):6} |" + "".join(f" {share:13.3f} |" for share in shares))
    if report:
        write_report(report, [r for r in result.removed if r["id"] in others], {e.id: e for e in stay + benchmark})


def write_report(path: Path, rows: list[dict], entries: dict[str, Entry]) -> None:
    """Pairs to judge by eye: many are real near copies that the benchmark has between its own halves."""
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            hit = row["hits"][0]
            ours, theirs = entries[row["id"]], entries[hit["id"]]
            out.write(f"{hit['reason']} | question {hit['question']} | options {hit['options']} | {hit['span']}\n")
            out.write(f"  item      {ours.question} {list(ours.options)}\n")
            out.write(f"  benchmark {theirs.question} {list(theirs.options)}\n")
