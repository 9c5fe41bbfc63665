"""Chain-of-thought cold start of Qwen2.5-7B (paper section 3.2)."""

from fleming_nemo.config.schema import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from fleming_nemo.launch.main import main
from fleming_nemo.planner.layouts import Layout, choose

STEPS = 800

# (H100 of 80 GB, longest sequence): layout.  Memory and shares are those of `fleming plan`, with full sequences.
LAYOUTS = {
    (8, 8192): Layout(
        tp=2, recompute=4, why="71 GB; nothing recomputed would be 74, too near the limit, for 4 % speed"
    ),
    (8, 32768): Layout(
        tp=2, cp=4, recompute=4, why="8k tokens on each GPU as above, the parts of a sequence in one node"
    ),
    (16, 8192): Layout(tp=2, why="the optimizer is cut twice as fine, so that all activations are kept: 68 GB"),
    (16, 32768): Layout(tp=2, cp=4, why="as for 8k, the four parts of a sequence in one node"),
    (32, 8192): Layout(tp=2, why="65 GB; with tp=1 not even half of the activations would fit"),
    (32, 32768): Layout(tp=2, cp=4, why="as for 8k, the four parts of a sequence in one node"),
    (64, 8192): Layout(tp=2, why="64 GB; four full passes a step are left for each of the 32 replicas"),
    (64, 32768): Layout(tp=2, cp=4, why="as for 8k; 16 passes for each of the 8 replicas"),
}


def recipe(gpus: int = 8, seq_length: int = 8192) -> RunConfig:
    """Chain-of-thought cold start of Qwen2.5-7B."""
    layout = choose(LAYOUTS, gpus, seq_length)
    return RunConfig(
        task="sft",
        stage="sft",
        run_dir="runs/sft_7b",
        # The paper's base row is the Instruct model.
        model=ModelConfig(arch="qwen2.5-7b", weights="models/Qwen2.5-7B-Instruct", recompute=layout.recompute),
        parallel=layout.parallel(),
        data=DataConfig(dir="data/sft_7b", tokenizer="models/Qwen2.5-7B-Instruct"),
        # The paper gives none of these; 1e-5 and 128 lie in the bracket of HuatuoGPT-o1, m1 and II-Medical.
        optim=OptimConfig(lr=1e-5, warmup_steps=STEPS * 5 // 100, decay="cosine"),
        # Packs as long as the longest sequence: chains are mostly far shorter, and smaller packs mean more of them.
        train=TrainConfig(steps=STEPS, global_batch=128, seq_length=seq_length, pack_tokens=seq_length, save_every=100),
    )


if __name__ == "__main__":
    main(recipe)
