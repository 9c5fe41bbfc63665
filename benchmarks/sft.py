"""Tokens per second of SFT in one CPU process: this package against Hugging Face's Trainer, in one run.

Both start from the shipped nano weights and see the same global batches of the same corpus in the same order, with the
same AdamW; they must report the same losses.  Rounds alternate, so that a busy machine slows both.  The peer pads, its
only way without a GPU, and gets the best of several batch sizes.  Printed besides: how full packs are.

    pip install -e '.[bench]'
    python benchmarks/sft.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from fleming_nemo.config.syntheses import Synthesis
from fleming_nemo.data import packing
from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.corpus import Corpus
from fleming_nemo.data.micro_batch import Sample
from fleming_nemo.data.order import take
from fleming_nemo.data.tokenizer import NANO_DIR
from fleming_nemo.launch.prepare import prepare
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.sft.loss import cross_entropy
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.schedule import learning_rate
from fleming_nemo.training.start import start

SEQ_LENGTH = 512
OURS = "fleming-nemo"
DISTRIBUTED = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
OPTIM = OptimConfig(lr=1e-4, weight_decay=0.1, clip_grad=1.0, decay="constant")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="a corpus made with the nano tokenizer; default: built from the graph"
    )
    parser.add_argument("--steps", type=int, default=12, help="optimizer steps of one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, alternating")
    parser.add_argument("--global-batch", type=int, default=64, help="sequences per optimizer step")
    parser.add_argument("--pack-tokens", type=int, default=2048, help="token budget of our forward passes")
    parser.add_argument("--peer-batch", type=int, nargs="+", default=[8, 16, 64], help="sequences per pass of the peer")
    parser.add_argument("--threads", type=int, default=1, help="threads of either")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    with tempfile.TemporaryDirectory() as scratch:
        folder = args.data or Path(scratch) / "data"
        if args.data is None:
            sizes = Synthesis(sft_items=2000, rl_items=30, heldout_items=30)
            prepare(DataConfig(dir=str(folder), tokenizer="nano"), seed=1, made=sizes)
        cfg = RunConfig(
            model=ModelConfig(arch="nano", weights="nano", precision="fp32"),
            data=DataConfig(dir=str(folder), tokenizer="nano"),
            optim=OPTIM,
            train=TrainConfig(
                steps=args.steps,
                global_batch=args.global_batch,
                micro_batch=args.global_batch,
                seq_length=SEQ_LENGTH,
                pack_tokens=args.pack_tokens,
            ),
        )
        os.environ |= DISTRIBUTED
        compare(cfg, args.rounds, args.peer_batch, Path(scratch))


def compare(cfg: RunConfig, rounds: int, peer_batches: list[int], scratch: Path) -> None:
    _, chat = start(cfg)
    corpus = Corpus(Path(cfg.data.dir), chat)
    lengths = corpus.lengths
    print(
        f"corpus: {len(corpus)} documents, {lengths.sum()} tokens; length mean {lengths.mean():.0f}, "
        f"median {np.median(lengths):.0f}, longest {lengths.max()}"
    )
    for budget, ranks in itertools.product((4096, 8192, 16384), (1, 8)):
        print(f"packs of {budget:5} tokens over {ranks} data-parallel ranks: {fill(corpus, budget, ranks):.2%} full")

    data = scratch / "sequences.npz"
    hand_over(cfg, corpus, chat.pad_id, data)
    contestants: dict[str, Callable[[], tuple[float, list[float]]]] = {OURS: partial(ours, cfg, corpus, chat.pad_id)}
    for size in peer_batches:
        contestants[f"Trainer, batch {size}"] = partial(peer, size, cfg, data, torch.get_num_threads())
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    losses: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, run in contestants.items():
            speed, losses[name] = run()
            speeds[name].append(speed)
    print(f"\n{'':22} {'tokens/s':>10} {'first loss':>11} {'last loss':>10}")
    for name, found in speeds.items():
        print(f"{name:22} {statistics.median(found):10.0f} {losses[name][0]:11.5f} {losses[name][-1]:10.5f}")
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses[OURS], atol=2e-3, err_msg=f"{name} trained on something else")
    ratios = [own / max(speeds[name][n] for name in speeds if name != OURS) for n, own in enumerate(speeds[OURS])]
    print("\n" + json.dumps({"ratio": round(statistics.median(ratios), 2), "rounds": [round(r, 2) for r in ratios]}))
    groups.shutdown()


def fill(corpus: Corpus, budget: int, ranks: int, global_batch: int = 512) -> float:
    """Tokens over places in packs, an epoch long; all packs of a step have the size of its largest one."""
    tokens = places = 0
    for first in range(0, len(corpus) - global_batch + 1, global_batch):
        lengths = corpus.lengths[take(first, global_batch, len(corpus), seed=1)].tolist()
        sizes = [sum(lengths[i] for i in pack) for packs in packing.plan(lengths, budget, ranks) for pack in packs]
        tokens += sum(sizes)
        places += len(sizes) * max(sizes)
    return tokens / places


def step_indices(cfg: RunConfig, corpus: Corpus, step: int) -> list[int]:
    return take(step * cfg.train.global_batch, cfg.train.global_batch, len(corpus), cfg.seed)


def ours(cfg: RunConfig, corpus: Corpus, pad_id: int) -> tuple[float, list[float]]:
    """(tokens per second after the first step, loss of every step) of the loop of `sft.run`."""
    engine = Engine(cfg, ARCHS["nano"])
    hf.load(engine.networks, NANO_DIR, ARCHS["nano"])
    engine.weights_changed()
    # over all embedding rows, as the peer does, also those without a token
    objective = cross_entropy(ARCHS["nano"].vocab_size)
    losses, tokens, began = [], 0, 0.0
    for step in range(cfg.train.steps):
        if step == 1:
            began = time.perf_counter()
        indices = step_indices(cfg, corpus, step)
        lengths = corpus.lengths[indices].tolist()
        batches = micro_batches(lengths, lambda n, at=indices: Sample(*corpus[at[n]]), cfg, pad_id)  # type: ignore[misc]
        losses.append(engine.train_step(batches, objective, learning_rate(cfg.optim, step, cfg.train.steps))["loss"])
        tokens += sum(lengths) if step else 0
    return tokens / (time.perf_counter() - began), losses


def peer(batch: int, cfg: RunConfig, data: Path, threads: int) -> tuple[float, list[float]]:
    """The same of transformers' Trainer, in a process where nothing of this package runs."""
    optim = json.dumps({"lr": OPTIM.lr, "weight_decay": OPTIM.weight_decay, "clip_grad": OPTIM.clip_grad})
    command = [sys.executable, str(Path(__file__).with_name("sft_peer.py")), str(data), str(NANO_DIR), optim]
    sizes = [cfg.train.steps, cfg.train.global_batch, batch, threads]
    alone = {k: v for k, v in os.environ.items() if k not in DISTRIBUTED}
    done = subprocess.run([*command, *map(str, sizes)], env=alone, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the peer failed:\n{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    return told["tokens_per_second"], told["losses"]


def hand_over(cfg: RunConfig, corpus: Corpus, pad_id: int, file: Path) -> None:
    """The sequences of all steps in their order, as plain arrays."""
    order = [i for step in range(cfg.train.steps) for i in step_indices(cfg, corpus, step)]
    tokens, masks = zip(*(corpus[i] for i in order), strict=True)
    ends = np.cumsum([len(t) for t in tokens])
    np.savez(file, tokens=np.concatenate(tokens).astype(np.int64), mask=np.concatenate(masks), ends=ends, pad_id=pad_id)


if __name__ == "__main__":
    main()
