"""Evaluation of the 7B model on the held-out questions (paper section 4)."""

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
    """Evaluation of the 7B model: sampled answers and a greedy one to each held-out question."""
    return RunConfig(
        task="evaluate",
        stage="evaluation",
        run_dir="runs/evaluate_7b",
        model=ModelConfig(arch="qwen2.5-7b", weights="runs/grpo_stage2_7b"),
        # As in GRPO: a replica of two GPUs holds the model and the cache of 128 answers of 8k tokens.
        parallel=ParallelConfig(tp=2, sequence_parallel=True),
        data=DataConfig(dir="data/rl_7b", tokenizer="models/Qwen2.5-7B-Instruct"),
        train=TrainConfig(seq_length=2048 + 8192),
        rollout=RolloutConfig(max_response=8192, decode_batch=128),
    )


if __name__ == "__main__":
    main(recipe)
