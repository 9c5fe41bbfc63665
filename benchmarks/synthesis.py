"""Synthesis of proved questions: questions per second on 1 and 2 processes, with set-up apart, and what comes out.

    python data_prep/build_kg.py
    python benchmarks/synthesis.py --graph data/kg --items 20000

Set-up is what a process does once: load the graph, index its findings, find every walk that could be asked. After it
the processes start together; making, proving, wording and writing the questions is timed until the last one ends.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.synth.merge import write_shard
from fleming_nemo.rods.synth.settings import Settings
from fleming_nemo.rods.synth.workers import generator_of, uncollected

SPLIT = "sft"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("data/kg"), help="graph folder (default: %(default)s)")
    parser.add_argument("--items", type=int, default=20_000, help="questions in all (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of processes (default: 1 2)")
    parser.add_argument("--sampler", default="rare-first", help="rare-first or uniform (default: %(default)s)")
    parser.add_argument("--mentions", type=Path, help="table id<TAB>mentions: how often curated data name each entity")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        mentions = str(args.mentions) if args.mentions else None
        settings = Settings(str(args.graph), args.items, sampler=args.sampler, mentions=mentions)
        for workers in args.workers:
            counts, cells = timed(settings, workers)  # the same questions each time
        print("\ncounts")
        for name, count in sorted(counts.items()):
            print(f"  {count:8}  {name}")
        for name, counter in cells.items():
            total = counter.total()
            print(f"{name}: " + ", ".join(f"{key} {counter[key] / total:.1%}" for key in sorted(counter)))


def timed(settings: Settings, workers: int) -> tuple[Counter[str], dict[str, Counter]]:
    """Print the rates with so many processes; return what was tried and refused, and the questions by their cells."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=work, args=(settings, n, workers, barrier, results)) for n in range(workers)]
    for process in processes:
        process.start()
    parts = [results.get() for _ in processes]
    for process in processes:
        process.join()
    for part in parts:
        if isinstance(part, str):
            raise UserError(part)
    counts: Counter[str] = sum((part["counts"] for part in parts), Counter())
    clock = max(part["end"] for part in parts) - min(part["start"] for part in parts)
    cpu = sum(part["cpu"] for part in parts)
    proven = counts["proven"]
    print(
        f"{workers} processes: {proven} proved questions in {clock:.1f} s, {proven / clock:.0f} a second; "
        f"{proven / cpu:.0f} a CPU second; set-up {max(part['setup'] for part in parts):.1f} CPU s each"
    )
    cells: dict[str, Counter] = {n: sum((part["cells"][n] for part in parts), Counter()) for n in parts[0]["cells"]}
    return counts, cells


def work(settings: Settings, number: int, workers: int, barrier: Barrier, results: Queue) -> None:
    """Every `workers`-th shard; puts what came out (or the reason why nothing did) into the queue."""
    try:
        with uncollected(), tempfile.TemporaryDirectory() as folder:
            generator = generator_of(settings)
            generator.open(SPLIT)
            setup = time.process_time()
            barrier.wait()
            counts: Counter[str] = Counter()
            cells: dict[str, Counter] = {name: Counter() for name in ("family", "language", "hops", "options")}
            start = time.time()
            for shard in range(number, -(-settings.items // settings.shard_size), workers):
                items, tried = generator.shard(SPLIT, shard, settings.shard_size)
                write_shard(Path(folder), SPLIT, shard, items, tried)
                counts += tried
                tally(items, cells)
            end, cpu = time.time(), time.process_time() - setup
        results.put({"counts": counts, "cells": cells, "start": start, "end": end, "cpu": cpu, "setup": setup})
    except UserError as error:
        barrier.abort()
        results.put(str(error))
    except BrokenBarrierError as error:
        results.put(f"another process broke off ({error}).")


def tally(items: list[QAItem], cells: dict[str, Counter]) -> None:
    for item in items:
        dials = item.provenance["dials"]
        row = item.provenance["family"], item.language, dials["hops"], len(item.options)
        for counter, value in zip(cells.values(), row, strict=True):
            counter[value] += 1


if __name__ == "__main__":
    main()
