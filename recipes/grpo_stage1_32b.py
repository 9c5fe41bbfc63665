"""GRPO stage 1 of the 32B model: Easy and Moderate questions 1:1, without a cold start before (paper section 4.1)."""

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

# (H100 of 80 GB, longest sequence): layout.  Memory is that of `fleming plan`, with full sequences.  Generation in the
# trainer's own processes needs pp=1 and cp=1, and 8 is as far as the 8 key-value heads can be cut; with servers of its
# own for generation the trainer could take the pipeline and context parallelism of sft_32b.py, and most of the time of
# a step, which is generation, would go to engines that batch answers as they come.
LAYOUTS = {
    (32, LENGTH): Layout(tp=8, recompute=40, why="states 37 GB, cache of 48 answers 29 GB: 70 GB in all, 4 replicas"),
    (64, LENGTH): Layout(
        tp=8, recompute=32, why="the optimizer is cut twice as fine, so that fewer layers recompute: 69 GB"
    ),
}

# Answers decoded together by a replica: as many as memory holds, in passes of equal size.
DECODE_BATCH = {32: 48, 64: 52}


def recipe(gpus: int = 32) -> RunConfig:
    """GRPO stage 1 of the 32B model: Easy and Moderate questions 1:1."""
    layout = choose(LAYOUTS, gpus, LENGTH)
    return RunConfig(
        task="grpo",
        stage="grpo_stage1",
        run_dir="runs/grpo_stage1_32b",
        # It reasons already, so the paper starts from the released weights.
        model=ModelConfig(arch="qwen3-32b", weights="models/Qwen3-32B", recompute=layout.recompute),
        parallel=layout.parallel(),
        data=DataConfig(dir="data/rl_32b", tokenizer="models/Qwen3-32B"),
        # Not in the paper: half the 7B's rate, within what is published for this size; betas as MiniMax-M1 has them.
        optim=OptimConfig(lr=5e-7, warmup_steps=10, decay="constant", weight_decay=0.1),
        train=TrainConfig(steps=200, seq_length=LENGTH, pack_tokens=LENGTH, save_every=10),
        rollout=RolloutConfig(temperature=1.0, max_response=16384, decode_batch=DECODE_BATCH[gpus]),
        # The paper switches when the reward is flat and sparse; 200 steps are the most it may take.
        grpo=GRPOConfig(
            prompts_per_step=256, rollouts_per_prompt=8, curriculum="easy_moderate", mix=[1, 1], switch="plateau"
        ),
    )


if __name__ == "__main__":
    main(recipe)
