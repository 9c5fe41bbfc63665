"""The nano base model: generic skills only, so that the demo starts where a real run starts, from a base model.

Its weights ship in fleming_nemo/model/nano.  To make them again:

    python recipes/base_nano.py && fleming export runs/base_nano --out nano
"""

from fleming_nemo.config.schema import (
    DataConfig,
    EvalConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.launch.main import main


def recipe() -> RunConfig:
    """Train a 1-million-parameter model on drills in format, copying, going through options, and counting."""
    return RunConfig(
        task="sft",
        stage="base_nano",
        run_dir="runs/base_nano",
        seed=7,
        model=ModelConfig(arch="nano", weights="random", precision="fp32"),
        parallel=ParallelConfig(dp=2),
        data=DataConfig(
            dir="runs/base_nano/data",
            tokenizer="train",
            shuffle=False,  # the drills are a curriculum: two options first, ten at the end
            synthesis="drills",
        ),
        optim=OptimConfig(lr=2e-3, warmup_steps=100, weight_decay=0.05),
        train=TrainConfig(steps=1500, global_batch=64, micro_batch=16, seq_length=256, save_every=250),
        rollout=RolloutConfig(max_response=96),
        eval=EvalConfig(seeds=1, temperature=1.0),
    )


if __name__ == "__main__":
    main(recipe)
