"""Chain-of-thought cold start of Qwen3-32B (paper section 3.2)."""

from fleming_nemo.config.schema import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from fleming_nemo.launch.main import main
from fleming_nemo.planner.layouts import Layout, choose

STEPS = 800

# (H100 of 80 GB, longest sequence): layout.  Memory and shares are those of `fleming plan`, with full sequences.  Eight
# such GPUs cannot hold the model: weights, gradients and optimizer alone are 590 GB.  vp=4 is for short chains: 128 of
# 1,000 tokens fill only 16 packs of 8k, and without it two stages wait for 6 to 17 % of a step.
LAYOUTS = {
    (16, 8192): Layout(tp=8, pp=2, vp=4, why="the states take 37 GB of each GPU, all activations 28: 69 GB in all"),
    (16, 16384): Layout(tp=8, pp=2, vp=4, recompute=4, why="twice the tokens, so half of each chunk recomputes"),
    (32, 8192): Layout(tp=4, pp=2, vp=4, cp=2, why="half the tensor-parallel traffic of tp=8: 10 % of a step, not 20"),
    (32, 32768): Layout(tp=8, pp=2, vp=4, cp=2, recompute=3, why="16k tokens on each GPU; tp=4 with cp=4 is too large"),
    (64, 8192): Layout(tp=4, pp=2, vp=4, cp=2, why="as on 32 GPUs with twice the replicas: 62 GB"),
    (64, 32768): Layout(tp=4, pp=2, vp=4, cp=8, why="4k tokens on each GPU, as on 32 GPUs at 8k; one replica"),
}


def recipe(gpus: int = 16, seq_length: int = 8192) -> RunConfig:
    """Chain-of-thought cold start of Qwen3-32B."""
    layout = choose(LAYOUTS, gpus, seq_length)
    return RunConfig(
        task="sft",
        stage="sft",
        run_dir="runs/sft_32b",
        model=ModelConfig(arch="qwen3-32b", weights="models/Qwen3-32B", recompute=layout.recompute),
        parallel=layout.parallel(),
        data=DataConfig(dir="data/sft_32b", tokenizer="models/Qwen3-32B"),
        # The paper gives none of these; the rate is half the 7B's, as larger models are commonly given.
        optim=OptimConfig(lr=5e-6, warmup_steps=STEPS * 5 // 100, decay="cosine"),
        # Packs as long as the longest sequence: chains are mostly far shorter, and smaller packs mean more of them.
        train=TrainConfig(steps=STEPS, global_batch=128, seq_length=seq_length, pack_tokens=seq_length, save_every=100),
    )


if __name__ == "__main__":
    main(recipe)
