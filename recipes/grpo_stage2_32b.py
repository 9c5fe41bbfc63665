"""GRPO stage 2 of the 32B model: questions that the policy gets right and wrong 1:2 (paper section 3.3)."""

from fleming_nemo.config.schema import (
    DataConfig,
    GRPOConfig,
    ModelConfig,
    OptimConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
)
from fleming_nemo.launch.main import main
from fleming_nemo.planner.layouts import Layout, choose

# 2k prompt and 16k response: thinking answers of this model need more than 8k.
LENGTH = 2048 + 16384

# (H100 of 80 GB, longest sequence): layout.  As in stage 1, and for its reasons: twice the answers to each question
# mean more passes over the same memory.
LAYOUTS = {
    (32, LENGTH): Layout(tp=8, recompute=40, why="states 37 GB, cache of 48 answers 29 GB: 70 GB in all, 4 replicas"),
    (64, LENGTH): Layout(
        tp=8, recompute=32, why="the optimizer is cut twice as fine, so that fewer layers recompute: 69 GB"
    ),
}
DECODE_BATCH = {32: 48, 64: 52}


def recipe(gpus: int = 32) -> RunConfig:
    """GRPO stage 2 of the 32B model: questions that the policy gets right and wrong 1:2."""
    layout = choose(LAYOUTS, gpus, LENGTH)
    return RunConfig(
        task="grpo",
        stage="grpo_stage2",
        run_dir="runs/grpo_stage2_32b",
        model=ModelConfig(arch="qwen3-32b", weights="runs/grpo_stage1_32b", recompute=layout.recompute),
        parallel=layout.parallel(),
        data=DataConfig(dir="data/rl_32b", tokenizer="models/Qwen3-32B"),
        # As in stage 1: the paper names no other.
        optim=OptimConfig(lr=5e-7, warmup_steps=10, decay="constant", weight_decay=0.1),
        train=TrainConfig(steps=200, seq_length=LENGTH, pack_tokens=LENGTH, save_every=10),
        rollout=RolloutConfig(temperature=1.0, max_response=16384, decode_batch=DECODE_BATCH[gpus]),
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
