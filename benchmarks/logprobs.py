"""Peak memory and time of log-probabilities and their gradients at a real vocabulary: in chunks and the naive way.

Each way runs in a process of its own on the same hidden states, output layer and targets; the naive one is
log_softmax over the logits of all tokens, as most trainers have it.  Values and gradients must agree within 1e-6 of
their size.  What is measured is the peak of resident memory above what the inputs take.

    python benchmarks/logprobs.py --tokens 2048 --hidden 256
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

VOCABULARY = 151_936
DISTRIBUTED = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29502"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048, help="trained tokens (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=256, help="hidden size (default: %(default)s)")
    parser.add_argument("--way", choices=["naive", "chunks"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        one_way(args.way, args.tokens, args.hidden, args.out)
        return
    logits = args.tokens * VOCABULARY * 4
    print(
        f"{args.tokens} tokens, hidden size {args.hidden}, vocabulary {VOCABULARY}; fp32 logits {logits / 1e9:.2f} GB"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ("naive", "chunks"):
            out = Path(folder) / f"{way}.pt"
            command = [sys.executable, __file__, "--way", way, "--out", str(out)]
            command += ["--tokens", str(args.tokens), "--hidden", str(args.hidden)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            numbers = json.loads(told.splitlines()[-1])
            print(f"{way:7} peak {numbers['peak'] / 1e9:6.2f} GB above the inputs, {numbers['seconds']:6.1f} s")
            found[way] = torch.load(out) | numbers
    for name in ("logp", "grad_hidden", "grad_weight"):
        mine, naive = found["chunks"][name].double(), found["naive"][name].double()
        print(
            f"{name:12} largest difference {float((mine - naive).abs().max() / naive.abs().max()):.1e} of the largest"
        )
    print(json.dumps({"memory_ratio": round(found["naive"]["peak"] / found["chunks"]["peak"], 1)}))


def one_way(way: str, tokens: int, hidden: int, out: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden_NH = torch.randn(tokens, hidden, generator=generator).requires_grad_()
    weight_VH = (torch.randn(VOCABULARY, hidden, generator=generator) * hidden**-0.5).requires_grad_()
    targets_N = torch.randint(0, VOCABULARY, (tokens,), generator=generator)
    hidden_NH.grad, weight_VH.grad = torch.zeros_like(hidden_NH), torch.zeros_like(weight_VH)
    if way == "chunks":
        from fleming_nemo.config.schema import ParallelConfig
        from fleming_nemo.parallel import groups
        from fleming_nemo.training.logprobs import Sampling, spelled

        os.environ |= DISTRIBUTED
        groups.init(ParallelConfig(), seed=1)
    before, began = resident(), time.perf_counter()
    if way == "chunks":
        logp_N, _ = spelled(hidden_NH, weight_VH, targets_N, Sampling(1.0, VOCABULARY))
    else:
        logp_N = torch.log_softmax((hidden_NH @ weight_VH.t()).float(), -1).gather(1, targets_N[:, None])[:, 0]
    logp_N.sum().backward()
    seconds = time.perf_counter() - began
    torch.save({"logp": logp_N.detach(), "grad_hidden": hidden_NH.grad, "grad_weight": weight_VH.grad}, out)
    print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before, "seconds": seconds}))


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
