"""Tokens per second of the in-process rollout engine against Hugging Face `generate`, in one run on CPU.

The same weights, prompts and number of samples per prompt.  Responses end where one of some tokens is drawn, as in
training, where few are as long as the longest; or all at the same length.  Only tokens of responses count, not what an
engine computes behind their end.  Two vocabularies: the compact one of the nano model, and the 151,936 entries of
Qwen2.5 on a small network, where drawing the token is most of the work.  Rounds alternate, so that a busy machine slows
both.

    pip install -e '.[bench]'
    python benchmarks/generate.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import ModelConfig, ParallelConfig, RunConfig
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.rollout.types import Request
from fleming_nemo.training.engine import Engine

REAL_VOCABULARY = 151_936
SHAPES = {
    "compact": ARCHS["nano"],
    "real": replace(ARCHS["qwen2.5-tiny"], vocab_size=REAL_VOCABULARY),
}
DISTRIBUTED = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29501"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=8, help="different prompts (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=8, help="responses of each (default: %(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=128, help="longest prompt (default: %(default)s)")
    parser.add_argument("--response-tokens", type=int, default=96, help="the longest response (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each engine, alternating (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of either (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ |= DISTRIBUTED
    groups.init(ParallelConfig(), seed=1)
    print(f"{'vocabulary':12} {'responses':14} {'ours tok/s':>11} {'HF tok/s':>10}   ratio (rounds)")
    for (name, shape), ends in itertools.product(SHAPES.items(), (True, False)):
        ours, theirs = compare(shape, args, ends)
        ratios = [mine / peer for mine, peer in zip(ours, theirs, strict=True)]
        listed = ", ".join(f"{r:.2f}" for r in ratios)
        kind, a, b = ("as they end" if ends else "equally long"), statistics.median(ours), statistics.median(theirs)
        print(f"{name:12} {kind:14} {a:11.0f} {b:10.0f}   ", end="")
        print(json.dumps({"ratio": round(statistics.median(ratios), 2)}), f"({listed})")
    groups.shutdown()


def compare(shape: ArchShape, args: argparse.Namespace, ends: bool) -> tuple[list[float], list[float]]:
    """Tokens per second of every round, ours and Hugging Face's; the first round of each warms up and is left out."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    cfg = RunConfig(model=ModelConfig(arch="nano", precision="fp32"))
    engine = Engine(cfg, shape)
    rng = np.random.default_rng(1)
    lengths = rng.integers(args.prompt_tokens // 2, args.prompt_tokens + 1, args.prompts)
    prompts = [tuple(rng.integers(0, shape.vocab_size, n).tolist()) for n in lengths]
    count, length = args.prompts * args.samples, args.response_tokens
    requests = [Request(p, seed=n * args.samples + k) for n, p in enumerate(prompts) for k in range(args.samples)]
    # random weights draw every token about equally often: half of the longest response is the mean length
    stops = set(range(1, shape.vocab_size, length // 2)) if ends else set()
    sampler = MegatronRollouts(engine.network, shape.vocab_size, stops, pad_id=0, decode_batch=count)
    with tempfile.TemporaryDirectory() as folder:
        hf.save(engine.networks, Path(folder), shape)
        peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    width = max(lengths)
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    sampling = GenerationConfig(
        do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=length,
        num_return_sequences=args.samples, pad_token_id=0, eos_token_id=sorted(stops) or None,
    )  # fmt: skip
    ours, theirs = [], []
    for _ in range(args.rounds + 1):
        began = time.perf_counter()
        made = sampler.generate(requests, 1.0, length, 0)
        between = time.perf_counter()
        with torch.no_grad():
            found = peer.generate(ids, attention_mask=mask, generation_config=sampling)
        ended = time.perf_counter()
        ours.append(sum(len(r.tokens) for r in made) / (between - began))
        theirs.append(tokens_until(found[:, width:], stops) / (ended - between))
    return ours[1:], theirs[1:]


def tokens_until(responses_BT: torch.Tensor, stops: set[int]) -> int:
    """Tokens up to the first stop of each response, that one included."""
    stop_BT = torch.isin(responses_BT, torch.tensor(sorted(stops), dtype=torch.long))
    return int(((stop_BT.cumsum(1) - stop_BT.long()) == 0).sum())


if __name__ == "__main__":
    main()
