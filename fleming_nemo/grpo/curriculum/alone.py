"""Task `mine`: the mining of a stage 2 without the stage, for example on other nodes or while data is still decided."""

from __future__ import annotations

from typing import Any

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo.curriculum.stage import Curriculum
from fleming_nemo.grpo.opening import open_run
from fleming_nemo.rollout.engines import opened


def run(cfg: RunConfig) -> dict[str, Any]:
    """Mine `items_rl.jsonl` with `model.weights`: writes mined.json and mining.json, returns the sizes of the pools."""
    engine, chat, items, folder = open_run(cfg)
    with opened(cfg, engine, chat) as rollouts:
        curriculum = Curriculum(cfg, rollouts, items, folder)
        curriculum.begin()
    return {"stage": cfg.stage} | curriculum.rounds[-1]
