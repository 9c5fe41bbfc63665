"""GRPO stage 1 of the 7B model: Easy and Moderate questions 1:1 (paper section 3.3)."""

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
    """GRPO stage 1 of the 7B model: Easy and Moderate questions 1:1."""
    return RunConfig(
        task="grpo",
        stage="grpo_stage1",
        run_dir="runs/grpo_stage1_7b",
        model=ModelConfig(arch="qwen2.5-7b", weights="runs/sft_7b", recompute=-1),
        # As for SFT; a vLLM server on the same two GPUs, awake in turn, adds its weights and the cache of 96 answers.
        parallel=ParallelConfig(tp=2, sequence_parallel=True, overlap=True),
        data=DataConfig(dir="data/rl_7b", tokenizer="models/Qwen2.5-7B-Instruct"),
        # Not in the paper: rate and warm-up as DAPO and II-Medical have them, betas as MiniMax-M1.
        optim=OptimConfig(lr=1e-6, warmup_steps=10, decay="constant", weight_decay=0.1),
        # 2k prompt and 8k response; answers of this size of model peak near 4k.
        train=TrainConfig(steps=200, micro_batch=1, seq_length=2048 + 8192, save_every=10),
        rollout=RolloutConfig(temperature=1.0, max_response=8192, decode_batch=96, engine="vllm", tp=2),
        # 8 rollouts while questions are easy; stage 2 takes more, as in the paper.
        # The paper switches when the reward is flat and sparse; 200 steps are the most it may take.
        grpo=GRPOConfig(
            prompts_per_step=256, rollouts_per_prompt=8, curriculum="easy_moderate", mix=[1, 1], switch="plateau"
        ),
    )


if __name__ == "__main__":
    main(recipe)
