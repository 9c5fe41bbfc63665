"""What NeMo-Run executes: functions whose parameters are the sections of a config.

So an override is spelled as everywhere else (`train.steps=10`), and a run under NeMo-Run is the one that `python
recipes/...` makes: both end in `launch.main.execute`.
"""

import os
import sys

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
) -> None:
    """Run one stage: SFT, GRPO, mining or an evaluation."""
    _execute(RunConfig(task, stage, run_dir, seed, model, parallel, data, optim, train, rollout, grpo, eval))


def demo(
    run_dir: str, seed: int, base: RunConfig, sft: RunConfig, grpo_stage1: RunConfig, grpo_stage2: RunConfig
) -> None:
    """Run the whole pipeline in small."""
    _execute(DemoConfig(run_dir, seed, base, sft, grpo_stage1, grpo_stage2))


def _execute(cfg: RunConfig | DemoConfig) -> None:
    """Run, and end the process as a recipe's would: NeMo-Run's runner has no exit codes of its own."""
    from fleming_nemo.launch.main import execute, exit_with

    if not os.path.isabs(cfg.run_dir):
        raise UserError(f"run_dir is {cfg.run_dir}; NeMo-Run starts in a folder of its own, so give the whole path")
    sys.stdout.flush()
    exit_with(lambda: execute(cfg) and None, debug=False)
