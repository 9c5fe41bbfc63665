"""Task `drift`: GRPO steps at learning rate 0, after which engine and trainer must agree as they did at the first.

With weights that never change, whatever the mismatch does over the steps is a fault of the path between trainer and
engine: stale weights, a cache that is not reset, state that grows.  Published runs died of that after hundreds of
steps; eight are enough to see a slope.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import read_items
from fleming_nemo.grpo import update
from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import reward
from fleming_nemo.rollout.engines import Rollouts, opened
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import checkpoint
from fleming_nemo.training.phases import Phases
from fleming_nemo.training.progress import Steps
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.start import start

FOLDER = "drift_check"
RESULT = "drift.json"
GROWTH = 2.0
"""The second half of the steps may have this many times the mismatch of the first."""
NOTHING = 1e-7
"""KL per token that is rounding, whatever its ratio."""


def config_of(run_dir: Path, steps: int) -> RunConfig:
    """The config of a check of a GRPO run: its newest checkpoint, its layout, a directory of its own.

    Raises:
        UserError: there is no such run, or it has no rollouts to compare.
    """
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} has no config.yaml; give the directory of a GRPO run")
    cfg = from_yaml(run_dir / "config.yaml", RunConfig)
    if cfg.task != "grpo":
        raise UserError(f"{run_dir} is a run of task {cfg.task}; only GRPO has rollouts that can drift")
    if checkpoint.steps(run_dir):
        cfg.model.weights = str(run_dir)
    cfg.task, cfg.run_dir = "drift", str(run_dir / FOLDER)
    cfg.train.steps, cfg.rollout.record, cfg.eval.every, cfg.grpo.updates_per_batch = steps, "", 0, 1
    cfg.grpo.remine_every = cfg.rollout.staleness = 0
    return cfg


def run(cfg: RunConfig) -> dict[str, Any]:
    """Take `train.steps` steps at learning rate 0; writes drift.json and returns it."""
    engine, chat = start(cfg)
    folder = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    folder.write_card(cfg, engine.layout.sizes(), {"tokenizer": chat.sha256})
    with opened(cfg, engine, chat) as rollouts:
        rows = _steps(cfg, update.Updates(cfg, engine, chat), rollouts, folder)
    result = verdict(rows, cfg.grpo.max_mismatch)
    folder.write_json(RESULT, result)
    return {"stage": cfg.stage, "steps": len(rows)} | {k: result[k] for k in ("flat", "text")}


def _steps(cfg: RunConfig, updates: update.Updates, rollouts: Rollouts, folder: RunDirectory) -> list[dict[str, float]]:
    layout, judge = groups.current(), rollouts.examiner()
    items = read_items(Path(cfg.data.dir) / "items_rl.jsonl")
    rows = []
    progress = Steps("drift check", 0, cfg.train.steps)
    for step in progress:
        phases = Phases(step + 1)
        count = cfg.grpo.prompts_per_step
        drawn = [(n, items[(step * count + n) % len(items)]) for n in range(count)]
        with phases("generate"):
            played = judge.play(
                [
                    (item, [request_seed("drift", cfg.seed, step, n, k) for k in range(cfg.grpo.rollouts_per_prompt)])
                    for n, item in drawn[layout.dp_rank :: layout.dp]
                ],
                cfg.rollout.temperature,
                step,
            )
            rollouts.rest()
        advantage_PG = updates.objective.advantages(np.array([[reward(e.verdict) for e in group] for group in played]))
        # truncated responses are compared as well: the engine drew them like all others
        mine = [
            [update.sample(e, a, mask_truncated=False) for e, a in zip(group, row, strict=True)]
            for group, row in zip(played, advantage_PG, strict=True)
        ]
        parts = groups.gather_over_dp(mine)
        batch_PG = [parts[n % layout.dp][n // layout.dp] for n in range(count)]
        metrics = updates(batch_PG, 0.0, phases)
        rows.append({"step": step + 1} | {k: v for k, v in metrics.items() if k.startswith("mismatch")})
        folder.log(rows[-1])
        progress.show(step + 1, kl=f"{metrics['mismatch_kl']:.1e}", largest=f"{metrics['mismatch_max']:.1e}")
    return rows


def verdict(rows: list[dict[str, float]], limit: float) -> dict[str, Any]:
    """Whether the mismatch stayed where it was: KL per token of both halves, and what that means.

    Args:
        rows: `mismatch_kl` and `mismatch_max` of every step; at least two.
        limit: `grpo.max_mismatch`.
    """
    half = len(rows) // 2
    first, second = (fmean(row["mismatch_kl"] for row in part) for part in (rows[:half], rows[-half:]))
    largest = max(row["mismatch_max"] for row in rows)
    grows = not second <= max(GROWTH * first, NOTHING)
    above = not second <= limit
    said = f"KL(engine || trainer) per token {first:.1e} in the first half, {second:.1e} in the second; "
    said += f"largest difference of a log-probability {largest:.1e}: "
    said += "it grows at learning rate 0, so the engine's state does" if grows else "flat"
    if above:
        said += f"; above grpo.max_mismatch = {limit:g}"
    return {"flat": not grows and not above, "text": said, "first_half": first, "second_half": second, "rows": rows}
