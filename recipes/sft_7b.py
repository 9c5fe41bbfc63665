"""Chain-of-thought cold start of Qwen2.5-7B (paper section 3.2)."""

from fleming_nemo.config.schema import DataConfig, ModelConfig, OptimConfig, ParallelConfig, RunConfig, TrainConfig
from fleming_nemo.launch.main import main

STEPS = 800


def recipe() -> RunConfig:
    """Chain-of-thought cold start of Qwen2.5-7B."""
    return RunConfig(
        task="sft",
        stage="sft",
        run_dir="runs/sft_7b",
        # The paper's base row is the Instruct model.
        model=ModelConfig(arch="qwen2.5-7b", weights="models/Qwen2.5-7B-Instruct", recompute=-1),
        # Two tensor-parallel ranks keep weights, gradients and activations of 8k tokens inside 80 GB.
        parallel=ParallelConfig(tp=2),
        data=DataConfig(dir="data/sft_7b", tokenizer="models/Qwen2.5-7B-Instruct"),
        # The paper gives none of these; 1e-5 and 128 lie in the bracket of HuatuoGPT-o1, m1 and II-Medical.
        optim=OptimConfig(lr=1e-5, warmup_steps=STEPS * 5 // 100, decay="cosine"),
        train=TrainConfig(steps=STEPS, global_batch=128, micro_batch=1, seq_length=8192, save_every=100),
    )


if __name__ == "__main__":
    main(recipe)
