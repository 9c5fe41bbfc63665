"""Tokens per second of the in-process rollout engine against Hugging Face `generate`, in one run on CPU.

The same weights, prompts and number of samples per prompt; every response has the same length, since neither engine may
stop early.  Two vocabularies: the compact one of the nano model, and the 151,936 entries of Qwen2.5 on a small network,
where drawing the token is most of the work.  Rounds alternate, so that a busy machine slows both.

    pip install -e '.[bench]'
    python benchmarks/generate.py
"""

from __future__ import annotations

import argparse
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
    parser.add_argument("--response-tokens", type=int, default=64, help="every response (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each engine, alternating (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of either (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ |= DISTRIBUTED
    groups.init(ParallelConfig(), seed=1)
    print(f"{'vocabulary':12} {'ours tok/s':>11} {'HF tok/s':>10}   ratio (rounds)")
    for name, shape in SHAPES.items():
        ours, theirs = compare(shape, args)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        listed = ", ".join(f"{r:.2f}" for r in ratios)
        print(f"{name:12} {statistics.median(ours):11.0f} {statistics.median(theirs):10.0f}   ", end="")
        print(json.dumps({"ratio": round(statistics.median(ratios), 2)}), f"({listed})")
    groups.shutdown()


def compare(shape: ArchShape, args: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Tokens per second of every round, ours and Hugging Face's; the first round of each warms up and is left out."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    cfg = RunConfig(model=ModelConfig(arch="nano", precision="fp32"))
    engine = Engine(cfg, shape)
    rng = np.random.default_rng(1)
    lengths = rng.integers(args.prompt_tokens // 2, args.prompt_tokens + 1, args.prompts)
    prompts = [tuple(rng.integers(0, shape.vocab_size, n).tolist()) for n in lengths]
    count, length = args.prompts * args.samples, args.response_tokens
    requests = [Request(p, seed=n * args.samples + k) for n, p in enumerate(prompts) for k in range(args.samples)]
    sampler = MegatronRollouts(engine.network, shape.vocab_size, set(), pad_id=0, decode_batch=count)
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
        do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=length, min_new_tokens=length,
        num_return_sequences=args.samples, pad_token_id=0, eos_token_id=None,
    )  # fmt: skip
    ours, theirs = [], []
    for _ in range(args.rounds + 1):
        began = time.perf_counter()
        made = sampler.generate(requests, 1.0, length, 0)
        between = time.perf_counter()
        with torch.no_grad():
            found = peer.generate(ids, attention_mask=mask, generation_config=sampling)
        ended = time.perf_counter()
        assert all(len(r.tokens) == length for r in made) and found.shape == (count, width + length)
        ours.append(count * length / (between - began))
        theirs.append(count * length / (ended - between))
    return ours[1:], theirs[1:]


if __name__ == "__main__":
    main()
