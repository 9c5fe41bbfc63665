"""What NeMo-Run executes: functions whose parameters are the sections of a config.

So an override is spelled as everywhere else (`train.steps=10`), and a run under NeMo-Run is the one that `python
recipes/...` makes: both end in `launch.main.execute`.
"""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Optional

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import (
    DataConfig,
    DemoConfig,
    EvalConfig,
    GRPOConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.experiment import block, fields, sinks
from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.experiment.follow import follow
from fleming_nemo.launch.main import execute, exit_with


def train(
    task: str,
    stage: str,
    run_dir: str,
    seed: int,
    model: ModelConfig,
    parallel: ParallelConfig,
    data: DataConfig,
    optim: OptimConfig,
    train: TrainConfig,
    rollout: RolloutConfig,
    grpo: GRPOConfig,
    eval: EvalConfig,
    exp_manager: Optional[ExpManager] = None,  # noqa: UP045  (nemo-run cannot parse `X | None`)
) -> None:
    """Run one stage: SFT, GRPO, mining or an evaluation; `exp_manager` chooses its run directory and its loggers."""
    cfg = RunConfig(task, stage, run_dir, seed, model, parallel, data, optim, train, rollout, grpo, eval)
    exit_with(lambda: _execute(cfg, exp_manager), debug=False)


def demo(
    run_dir: str, seed: int, base: RunConfig, sft: RunConfig, grpo_stage1: RunConfig, grpo_stage2: RunConfig
) -> None:
    """Run the whole pipeline in small."""
    exit_with(lambda: _execute(DemoConfig(run_dir, seed, base, sft, grpo_stage1, grpo_stage2)), debug=False)


def _execute(cfg: RunConfig | DemoConfig, manager: ExpManager | None = None) -> None:
    following = nullcontext()
    if manager is not None:
        fields.check_supported(manager)
        folder = block.run_dir(manager, os.environ)
        cfg.run_dir = str(folder)
        if _is_first(os.environ):
            block.check(manager, folder)
            following = follow(folder, sinks.asked_for(manager, folder))  # type: ignore[assignment]
    if not Path(cfg.run_dir).is_absolute():
        raise UserError(f"run_dir is {cfg.run_dir}; NeMo-Run starts in a folder of its own, so give the whole path")
    with following:
        execute(cfg)


def _is_first(environ: os._Environ[str]) -> bool:
    """Whether this process is rank 0, or the one that starts the ranks."""
    return environ.get("RANK", environ.get("SLURM_PROCID", "0")) == "0"
