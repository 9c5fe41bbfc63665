"""GRPO stage 2 of the 7B model: questions that stage 1 gets right and wrong 1:2 (paper section 3.3)."""

from fleming_nemo.config.schema import (
    DataConfig,
    GRPOConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.launch.main import main


def recipe() -> RunConfig:
    """GRPO stage 2 of the 7B model: questions that stage 1 gets right and wrong 1:2."""
    return RunConfig(
        task="grpo",
        stage="grpo_stage2",
        run_dir="runs/grpo_stage2_7b",
        model=ModelConfig(arch="qwen2.5-7b", weights="runs/grpo_stage1_7b", recompute=-1),
        # As for SFT; a vLLM server on the same two GPUs, awake in turn, adds its weights and the cache of 96 answers.
        parallel=ParallelConfig(tp=2, sequence_parallel=True, overlap=True),
        data=DataConfig(dir="data/rl_7b", tokenizer="models/Qwen2.5-7B-Instruct"),
        # As in stage 1: the paper names no other.
        optim=OptimConfig(lr=1e-6, warmup_steps=10, decay="constant", weight_decay=0.1),
        train=TrainConfig(steps=200, micro_batch=1, seq_length=2048 + 8192, save_every=10),
        rollout=RolloutConfig(temperature=1.0, max_response=8192, decode_batch=96, engine="vllm", tp=2),
        grpo=GRPOConfig(
            prompts_per_step=256,
            # The paper raises the number of rollouts for hard questions; 16 is what DAPO and II-Medical use.
            rollouts_per_prompt=16,
            curriculum="mined",
            mix=[1, 2],
            mining_rollouts=8,
            # Each mining of a pool of 23,000 questions costs as many rollouts as 45 steps.
            remine_every=100,
        ),
    )


if __name__ == "__main__":
    main(recipe)
