"""Documents per second into a Megatron indexed dataset, against a plain loop and against datatrove; memory; reading.

Contestants, in alternating rounds in one run, with one tokenizer.json:
- ours: `data_prep/build_indexed.py`, which joins, renders, tokenises, masks, checksums and packs;
- the plain loop: one process that joins and renders in the same way, calls the tokenizer for prompt and response and
  hands both streams to megatron-core's `IndexedDatasetBuilder.add_document`;
- datatrove's `MegatronDocumentTokenizer` with as many tasks as we have workers.  It gets chats that were rendered
  beforehand (not timed), and writes tokens alone, without mask, packs or checksums.

Every contestant is a process of its own; times are CPU seconds of all its processes, and seconds on the clock.

    pip install -e '.[bench]'
    python data_prep/build_tokenizer.py --out models/qwen2.5-tokenizer
    python benchmarks/tokenise.py --tokenizer models/qwen2.5-tokenizer --documents 20000 --memory 10000 1000000
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import tokenise_corpus
import tokenise_peers

from fleming_nemo.config.errors import reported
from fleming_nemo.data.corpus import Corpus
from fleming_nemo.data.tokenizer import ChatTokenizer

SCRIPT = Path(__file__).parent.parent / "data_prep" / "build_indexed.py"
PACK = 8192


@dataclass
class Cost:
    """Of a process and its children."""

    clock: float
    cpu: float
    memory: int
    """Largest resident set of any one of them, bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with a tokenizer.json")
    parser.add_argument("--documents", type=int, default=20_000, help="invented documents (default: %(default)s)")
    parser.add_argument("--items", type=Path, help="your own questions instead")
    parser.add_argument("--chains", type=Path, help="your own chains instead")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="N", help="corpora to measure memory at")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug), TemporaryDirectory() as work:
        compare(args, Path(work))


def compare(args: argparse.Namespace, work: Path) -> None:
    if args.items and args.chains:
        items, chains = args.items, args.chains
    else:
        items, chains = tokenise_corpus.write(work / "invented", args.documents, args.tokenizer)
    rendered, characters = tokenise_peers.render(items, chains, work / "rendered", args.workers)
    peers = [sys.executable, tokenise_peers.__file__]
    tokenizer, out = str(args.tokenizer), work / "out"
    contestants: dict[str, list[str]] = {
        f"ours, {args.workers} workers": ours(args, items, chains, out),
        "ours, 1 worker": [*ours(args, items, chains, out), "--workers", "1"],
        "plain loop": [*peers, "loop", tokenizer, str(items), str(chains), str(out)],
        "datatrove": [*peers, "datatrove", tokenizer, str(work / "rendered"), str(out), str(args.workers)],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for _ in range(args.rounds):
        for name, command in contestants.items():
            shutil.rmtree(out, ignore_errors=True)
            costs[name].append(measured(command))
    shutil.rmtree(out, ignore_errors=True)
    measured(ours(args, items, chains, out))
    corpus = Corpus(out, ChatTokenizer(args.tokenizer))
    tokens = corpus.manifest["tokens"]
    print(f"{rendered} documents, {characters / rendered:.0f} characters and {tokens / rendered:.0f} tokens each")
    print(f"{corpus.manifest['pack']}\n\n{'':18} {'CPU s':>8} {'clock s':>8} {'documents/s':>12} {'memory MB':>10}")
    for name, of in costs.items():
        clock = median(cost.clock for cost in of)
        cpu = median(cost.cpu for cost in of)
        print(f"{name:18} {cpu:8.1f} {clock:8.1f} {rendered / clock:12.0f} {max(c.memory for c in of) / 1e6:10.0f}")
    first, *_ = costs.values()
    for peer in ("plain loop", "datatrove"):
        clock, cpu = (
            [getattr(theirs, what) / getattr(mine, what) for mine, theirs in zip(first, costs[peer], strict=True)]
            for what in ("clock", "cpu")
        )
        print(
            f"against {peer}: {median(clock):.1f} times the documents/s ({min(clock):.1f} to {max(clock):.1f} in "
            f"{args.rounds} rounds), {median(cpu):.1f} times fewer CPU seconds"
        )
    reading(corpus)
    for count in args.memory:
        shutil.rmtree(out)
        inputs = tokenise_corpus.repeat(work / "many", items, chains, count)
        cost = measured(ours(args, *inputs, out))
        print(f"{count} documents: at most {cost.memory / 1e6:.0f} MB a process, {count / cost.clock:.0f} documents/s")


def ours(args: argparse.Namespace, items: Path, chains: Path, out: Path) -> list[str]:
    files = ["--items", str(items), "--chains", str(chains), "--tokenizer", str(args.tokenizer), "--out", str(out)]
    return [sys.executable, str(SCRIPT), *files, "--pack", str(PACK), "--workers", str(args.workers)]


def measured(command: list[str]) -> Cost:
    """Run a command below a process that also inherits what the command leaves behind, so that all of it is counted."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _WATCH, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr}")
    clock = time.perf_counter() - began
    cpu, kilobytes = done.stdout.split()[-2:]
    return Cost(clock, float(cpu), int(kilobytes) * 1024)


_WATCH = """
import contextlib, ctypes, os, resource, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36  # datatrove's workers are children of a server that nobody waits for
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
with contextlib.suppress(ChildProcessError):
    while True:
        os.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""


def reading(corpus: Corpus) -> None:
    """All packs of an epoch, checksums compared, as one process reads them."""
    began, tokens = time.process_time(), 0
    for position in range(corpus.num_samples):
        for documents in corpus.samples(position, 1, seed=1):
            for document in documents.tolist():
                ids, mask = corpus[document]
                tokens += len(ids)
                assert mask[-1] == 1
    print(f"reading packs: {tokens / (time.process_time() - began) / 1e6:.0f} million tokens/s in one process")


if __name__ == "__main__":
    main()
