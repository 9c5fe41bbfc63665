"""Both models from 8 to 1,024 GPUs: the tables of docs/scaling.md.

python -m fleming_nemo.planner.scaling
"""

from __future__ import annotations

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import ModelConfig, RunConfig, TrainConfig
from fleming_nemo.planner.hardware import GB, GPUS
from fleming_nemo.planner.search import search

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
MODELS = ("qwen2.5-7b", "qwen3-32b")
TABLES = {128: SIZES, 1024: SIZES[4:]}
"""Sequences of a step -> numbers of GPUs: the recipes' batch, and eight times as many for those that outgrow it."""
LENGTH = 8192


def table(arch: str, batch: int) -> str:
    """The fastest layout that fits, for each number of H100, as a Markdown table."""
    lines = [
        "| GPUs | tp x pp x vp x cp x dp | recompute | passes | GB of 80 | s / step | tok/s/GPU | MFU | largest loss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    train = TrainConfig(global_batch=batch, seq_length=LENGTH, pack_tokens=LENGTH)
    for gpus in TABLES[batch]:
        try:
            best = search(RunConfig(model=ModelConfig(arch=arch), train=train), gpus, GPUS["h100"], count=1)[0]
        except UserError:
            lines.append(f"| {gpus:,} | does not fit | | | | | | | |")
            continue
        made = best.plan
        work = made.work
        recompute = f"{work.recomputed} of {work.layers}" if work.recomputed else "-"
        lines.append(
            f"| {gpus:,} | {work.tp} x {work.pp} x {work.vp} x {work.cp} x {work.dp} | {recompute} | {work.passes} "
            f"| {made.memory.total / GB:.0f} | {made.seconds:.2f} | {made.tokens_per_second:,.0f} | {made.mfu:.0%} "
            f"| {best.losses[0] if best.losses else '-'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    for model in MODELS:
        for sequences in TABLES:
            print(f"{model}, {sequences:,} sequences a step\n\n{table(model, sequences)}\n")
