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
    SynthesisConfig,
    TrainConfig,
)
from fleming_nemo.launch.main import main


def recipe() -> RunConfig:
    """Train a 1-million-parameter model on drills in format, copying, binding text to letters, and counting."""
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
            synthesis=SynthesisConfig(kind="drills", sft_items=250_000, heldout_items=500),
        ),
        # below about 600 steps the model copies names but cannot tell which letter stands before them
        optim=OptimConfig(lr=3e-3, warmup_steps=100, weight_decay=0.05),
        train=TrainConfig(steps=2000, global_batch=64, micro_batch=16, seq_length=256, save_every=250),
        rollout=RolloutConfig(max_response=96),
        eval=EvalConfig(seeds=1, temperature=1.0),
    )


if __name__ == "__main__":
    main(recipe)
