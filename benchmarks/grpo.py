"""Seconds of a GRPO step in one CPU process: this package against TRL's GRPOTrainer, in one run.

Both start from the shipped nano weights and see the same questions in the same order, with the same group size, limit
and temperature.  Responses end where the policy ends them, most of them long before the limit; or, in the second row,
all at the same length.  Ours is the whole run as a recipe starts it, with rollouts, metrics and ledger on disk.  Rounds
alternate, so that a busy machine slows both, and the ratio is that of processor time too, which other work disturbs
least; the peer gets the best of several micro-batches.

    pip install -e '.[bench]'
    python benchmarks/grpo.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from fleming_nemo.config.schema import (
    DataConfig,
    EvalConfig,
    GRPOConfig,
    ModelConfig,
    OptimConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.config.syntheses import Synthesis
from fleming_nemo.data import tokenizer
from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import read_items
from fleming_nemo.data.tokenizer import NANO_DIR
from fleming_nemo.grpo import run as grpo_run
from fleming_nemo.grpo.curriculum.mixture import Mixture, easy_and_moderate
from fleming_nemo.launch.prepare import prepare
from fleming_nemo.model import hf_tokenizer
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.rundir import RunDirectory

DISTRIBUTED = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29503"}
LR = 1e-6
"""So low that the policy, and with it the length of its responses, stays what it is."""
OURS = "fleming-nemo"
CLOCKS = ("seconds", "cpu_seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=8, help="questions of a step (default: %(default)s)")
    parser.add_argument("--group", type=int, default=8, help="responses to each (default: %(default)s)")
    parser.add_argument("--max-response", type=int, default=128, help="limit where they end (default: %(default)s)")
    parser.add_argument("--equal-response", type=int, default=64, help="tokens where all are equally long")
    parser.add_argument("--steps", type=int, default=6, help="of a round, the first not counted (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, alternating (default: %(default)s)")
    parser.add_argument("--pack-tokens", type=int, default=4096, help="budget of our forward passes")
    parser.add_argument("--peer-batch", type=int, nargs="+", default=[8, 16, 32, 64], help="micro-batches of the peer")
    parser.add_argument("--threads", type=int, default=1, help="of either (default: %(default)s)")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(json.loads(args.ours.read_text()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prompts = questions(folder / "data", folder / "model", args.prompts * args.steps)
        for ends in (True, False):
            task = {
                "folder": str(folder / "model"),
                "data": str(folder / "data"),
                "texts": [text for text, _ in prompts],
                "prompts": [ids for _, ids in prompts],
                "ends": ends,
                "max_response": args.max_response if ends else args.equal_response,
                "batch": args.prompts * args.group,
                "lr": LR,
                **{name: getattr(args, name) for name in ("group", "steps", "threads", "pack_tokens")},
            }
            compare(task, args.rounds, args.peer_batch, folder)


def compare(task: dict[str, Any], rounds: int, peer_batches: list[int], folder: Path) -> None:
    """Run both in turn and print seconds per step, lengths and the ratio."""
    script = Path(__file__)
    contestants = {OURS: ([script, "--ours"], {})}
    contestants |= {
        f"TRL, micro-batch {n}": ([script.with_name("grpo_peer.py")], {"micro_batch": n}) for n in peer_batches
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, (command, more) in contestants.items():
            file = folder / "task.json"
            file.write_text(json.dumps(task | more | {"run_dir": str(folder / f"run_{task['ends']}_{number}")}))
            done = subprocess.run([sys.executable, *map(str, command), str(file)], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr}")
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    kind = "as the policy ends them" if task["ends"] else "equally long"
    print(f"\nresponses {kind}, at most {task['max_response']} tokens; {task['batch']} of them in a step")
    print(f"{'':22} {'s/step':>8} {'CPU s/step':>11} {'mean length':>12} {'longest':>8}")
    for name, told in found.items():
        wall, cpu = (statistics.median(median(t, clock) for t in told) for clock in CLOCKS)
        mean, longest = statistics.fmean(t["mean"] for t in told), max(t["longest"] for t in told)
        print(f"{name:22} {wall:8.3f} {cpu:11.3f} {mean:12.1f} {longest:8}")
    for name in ("generation", "forward_backward"):
        print(f"ours, {name}: {statistics.median(median(t, name) for t in found[OURS]):.3f} s")
    rest = statistics.median(median(t, "rest") for t in found[OURS])
    print(f"ours, neither generation nor forward/backward: {rest:.1%} of a step")
    for clock in CLOCKS:
        ratios = [
            median(mine, clock) / min(median(told[n], clock) for name, told in found.items() if name != OURS)
            for n, mine in enumerate(found[OURS])
        ]
        told = {"ratio": round(statistics.median(ratios), 2), "of": clock, "rounds": [round(r, 2) for r in ratios]}
        print(json.dumps(told), flush=True)


def median(told: dict[str, Any], name: str) -> float:
    """Of the steps of one round."""
    return statistics.median(told[name])


def questions(data: Path, model: Path, count: int) -> list[tuple[str, list[int]]]:
    """Questions of the demo's kind for the nano model; (chat, token ids) of the first `count` that a run draws."""
    sizes = Synthesis(sft_items=30, rl_items=600, heldout_items=30)
    prepare(DataConfig(dir=str(data), tokenizer="nano"), seed=1, made=sizes)
    pool = read_items(data / "items_rl.jsonl")
    chat = tokenizer.load(DataConfig(tokenizer="nano"))
    model.mkdir()
    for file in ("config.json", "model.safetensors"):
        (model / file).write_bytes((NANO_DIR / file).read_bytes())
    hf_tokenizer.write(chat, "", 512, model)
    drawn = [render_prompt(item) for item in Mixture(easy_and_moderate(pool), [1, 1], RunConfig.seed).draw(0, count)]
    return [(text, chat.encode(text)) for text in drawn]


def ours(task: dict[str, Any]) -> None:
    """A run of this package in this process; prints what it measured."""
    torch.set_num_threads(task["threads"])
    os.environ |= DISTRIBUTED
    cfg = RunConfig(
        task="grpo",
        stage="grpo_stage1",
        run_dir=task["run_dir"],
        model=ModelConfig(arch="nano", weights="nano", precision="fp32"),
        data=DataConfig(dir=task["data"], tokenizer="nano"),
        optim=OptimConfig(lr=LR, decay="constant"),
        train=TrainConfig(steps=task["steps"], seq_length=512, pack_tokens=task["pack_tokens"], save_every=1000),
        rollout=RolloutConfig(max_response=task["max_response"]),
        grpo=GRPOConfig(prompts_per_step=task["batch"] // task["group"], rollouts_per_prompt=task["group"]),
        eval=EvalConfig(seeds=0, limit=1),
    )
    at: list[tuple[float, float]] = []
    passes: list[float] = []
    rows: list[dict[str, Any]] = []
    log, passed, sampler = RunDirectory.log, Engine._run, MegatronRollouts.__init__

    def log_and_time(self: RunDirectory, row: dict[str, Any]) -> None:
        log(self, row)
        rows.append(row)
        at.append((time.perf_counter(), time.process_time()))

    def timed(self: Engine, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return passed(self, *arguments, **named)
        finally:
            passes.append(time.perf_counter() - began)

    def endless(self: MegatronRollouts, *arguments: Any, **named: Any) -> None:
        sampler(self, *arguments, **named | ({} if task["ends"] else {"stop_ids": set()}))

    with (
        mock.patch.object(RunDirectory, "log", log_and_time),
        mock.patch.object(Engine, "_run", timed),
        mock.patch.object(MegatronRollouts, "__init__", endless),
    ):
        grpo_run.run(cfg)
    seconds, cpu_seconds = ([b[n] - a[n] for a, b in zip(at, at[1:], strict=False)] for n in (0, 1))
    generation = [row["seconds"]["generate"] for row in rows[1:]]
    drawn = [
        response["length"]
        for step in range(2, task["steps"] + 1)
        for line in (Path(task["run_dir"]) / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
        for response in json.loads(line)["responses"]
    ]
    both = zip(seconds, generation, passes[1:], strict=True)
    told = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "generation": generation,
        "forward_backward": passes[1:],
        "rest": [1 - (g + p) / s for s, g, p in both],
        "mean": statistics.fmean(drawn),
        "longest": max(drawn),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
