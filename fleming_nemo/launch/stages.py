"""The stages of the demo: their order, and what the demo decides for each of them."""

from __future__ import annotations

import copy
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DataConfig, DemoConfig, ModelConfig, RunConfig

START_FROM = {"base": None, "sft": None, "grpo_stage1": "sft", "grpo_stage2": "grpo_stage1"}
"""Stages in their order, and the stage whose weights each one starts from; None = the shipped base model."""


def chain(cfg: DemoConfig) -> dict[str, RunConfig]:
    """The config of each stage, with what the demo decides: folders, seed, start weights, one data directory for all.

    Errors: UserError for a stage that sets one of these itself, since it would be ignored.
    """
    stages: dict[str, RunConfig] = {}
    root = Path(cfg.run_dir)
    for name, before in START_FROM.items():
        stage: RunConfig = copy.deepcopy(getattr(cfg, name))
        _refuse_ignored(name, stage)
        stage.run_dir, stage.stage, stage.seed = str(root / name), name, cfg.seed
        stage.data = copy.deepcopy(cfg.sft.data)
        stage.data.dir = str(root / "data")
        stage.model.weights = str(root / before) if before else "nano"
        stages[name] = stage
    return stages


def _refuse_ignored(name: str, stage: RunConfig) -> None:
    untouched = RunConfig()
    decided = {
        "run_dir": stage.run_dir == untouched.run_dir,
        "seed": stage.seed == untouched.seed,
        "model.weights": stage.model.weights == ModelConfig().weights,
        "data.dir": stage.data.dir == DataConfig().dir,
        "data": name == "sft" or stage.data == DataConfig(),
    }
    for field, left_alone in decided.items():
        if not left_alone:
            raise UserError(
                f"{name}.{field} is decided by the demo; set run_dir or seed for all stages, sft.data.* for the data"
            )
