"""Evaluation of the 32B model on the held-out questions (paper section 4)."""

from fleming_nemo.config.schema import (
    DataConfig,
    ModelConfig,
    ParallelConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.launch.main import main


def recipe() -> RunConfig:
    """Evaluation of the 32B model: sampled answers and a greedy one to each held-out question."""
    return RunConfig(
        task="evaluate",
        stage="evaluation",
        run_dir="runs/evaluate_32b",
        model=ModelConfig(arch="qwen3-32b", weights="runs/grpo_stage2_32b"),
        # As in GRPO: 8 is as far as the key-value heads can be cut, and a replica holds the cache of 48 answers.
        parallel=ParallelConfig(tp=8, sequence_parallel=True),
        data=DataConfig(dir="data/rl_32b", tokenizer="models/Qwen3-32B"),
        train=TrainConfig(seq_length=2048 + 16384),
        rollout=RolloutConfig(max_response=16384, decode_batch=48),
    )


if __name__ == "__main__":
    main(recipe)
