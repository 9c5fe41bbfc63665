"""Fleming-R1 in miniature: data, cold start, GRPO stage 1, mining, GRPO stage 2, evaluation, report."""

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
from fleming_nemo.launch.main import main

NANO = ModelConfig(arch="nano", precision="fp32")
EVAL = EvalConfig(seeds=3, temperature=1.0)
# the longest chain goes through ten options
ROLLOUT = RolloutConfig(temperature=1.0, max_response=96)


def recipe() -> DemoConfig:
    """Fleming-R1 in miniature on one CPU machine; every stage runs the code that a cluster runs."""
    return DemoConfig(base=base(), sft=sft(), grpo_stage1=grpo("easy_moderate"), grpo_stage2=grpo("mined"))


def base() -> RunConfig:
    return RunConfig(
        task="evaluate",
        model=NANO,
        parallel=ParallelConfig(dp=2),
        train=TrainConfig(seq_length=256),
        rollout=ROLLOUT,
        eval=EVAL,
    )


def sft() -> RunConfig:
    return RunConfig(
        task="sft",
        model=NANO,
        parallel=ParallelConfig(tp=2, dp=1),
        data=DataConfig(synthesis="demo"),
        # A model of a few million parameters bears a rate two hundred times the 7B's.
        optim=OptimConfig(lr=2e-3, warmup_steps=20),
        train=TrainConfig(steps=280, global_batch=64, micro_batch=16, seq_length=256, save_every=70),
        rollout=ROLLOUT,
        eval=EVAL,
    )


def grpo(curriculum: str) -> RunConfig:
    mined = curriculum == "mined"
    return RunConfig(
        task="grpo",
        model=NANO,
        parallel=ParallelConfig(dp=2),
        optim=OptimConfig(lr=2e-4, warmup_steps=2, decay="constant"),
        train=TrainConfig(steps=16 if mined else 12, micro_batch=32, seq_length=256, save_every=5),
        rollout=ROLLOUT,
        grpo=GRPOConfig(
            # The paper's stages: 1:1 with few rollouts, then 1:2 with more of them for each (harder) question.
            prompts_per_step=32 if mined else 48,
            rollouts_per_prompt=16 if mined else 8,
            curriculum=curriculum,
            mix=[1, 2] if mined else [1, 1],
            mining_rollouts=4,
            pass_rates=[0.25, 0.5],  # of four rollouts at most one is right; from two on the question counts as right
        ),
        eval=EVAL,
    )


if __name__ == "__main__":
    main(recipe)
