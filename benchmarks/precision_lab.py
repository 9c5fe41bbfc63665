"""What each fp8 recipe does to a training: the same steps in fp32, bf16 and four emulated recipes, on a CPU.

    python benchmarks/precision_lab.py --steps 300 --out runs/precision_lab

Every run starts from the same weights, sees the same batches (drills about made-up names, nothing is downloaded) and
goes through the package's own engine.  Writes precision_lab.json, .md and .png.  An emulation of numbers, not of speed.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm import tqdm

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import ModelConfig, OptimConfig, ParallelConfig, RunConfig, TrainConfig
from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.drills import drills
from fleming_nemo.data.lessons import render
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.data.tokenizer import NANO_DIR, ChatTokenizer
from fleming_nemo.model import gpt, hf
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.fp8_emulation_layers import emulated_block_spec, emulated_layers
from fleming_nemo.parallel.precision import RECIPES
from fleming_nemo.sft.loss import cross_entropy
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.rundir import versions
from fleming_nemo.training.schedule import learning_rate

MODES = ("bf16", "fp32", *RECIPES)
"""The first is what the others are compared with."""
LONGEST = 256
"""Tokens of a sequence; drills with more options than fit are left out."""
HELD_OUT = 64


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    groups.init(ParallelConfig(), args.seed)
    chat = ChatTokenizer(NANO_DIR)
    samples = lessons(chat, args.steps * args.batch + HELD_OUT, args.seed)
    runs = {}
    for mode in MODES:
        if mode in ("bf16", *args.modes):
            runs[mode] = train(mode, args, chat, samples)
            write(args, runs)  # an interrupted lab keeps what it has
    groups.shutdown()
    print((Path(args.out) / "precision_lab.md").read_text(), end="")
    print(f"written to {args.out}")


def lessons(chat: ChatTokenizer, count: int, seed: int) -> list[Sample]:
    """`count` drills about made-up names, the loss on the assistant's tokens."""
    rng = random.Random(seed)
    syllables = [a + b for a in "bdfglmnprstv" for b in ("a", "e", "i", "o", "an", "or", "is")]
    names = sorted({"".join(rng.choices(syllables, k=rng.choice((2, 3)))) for _ in range(200)})
    pairs = list(drills(names, 2 * count, seed, "precision-lab", ramp=0.0))
    encoded = [chat.encode_batch(texts) for texts in render(pairs, "")]
    made = []
    for prompt, response in zip(*encoded, strict=True):
        if len(prompt) + len(response) <= LONGEST:
            mask = np.repeat(np.array([0, 1], np.uint8), [len(prompt), len(response)])
            made.append(Sample(np.array(prompt + response), mask))
    return made[:count]


def train(mode: str, args: argparse.Namespace, chat: ChatTokenizer, samples: list[Sample]) -> dict[str, Any]:
    """Loss and gradient norm of every step, held-out loss before and after, and statistics of the last quarter."""
    cfg = RunConfig(
        model=ModelConfig(arch="nano", precision="fp32" if mode == "fp32" else "bf16"),
        optim=OptimConfig(lr=args.lr, warmup_steps=args.steps // 20, weight_decay=0.05),
        train=TrainConfig(steps=args.steps, global_batch=args.batch, micro_batch=args.batch, seq_length=LONGEST),
    )
    torch.manual_seed(args.seed)
    with _spec_of(mode):
        engine = Engine(cfg, ARCHS["nano"])
    if args.weights == "nano":
        hf.load(engine.networks, NANO_DIR, ARCHS["nano"])
        engine.weights_changed()
    objective = cross_entropy(chat.size)
    held_out = _batches(samples[-HELD_OUT:], cfg, chat)
    before = engine.evaluate(held_out, objective)["loss"]
    rows = []
    for step in tqdm(range(args.steps), mode):
        if step == args.steps - max(1, args.steps // 4):
            for operands in emulated_layers(engine.network).values():
                operands.reset()
        batch = _batches(samples[step * args.batch : (step + 1) * args.batch], cfg, chat)
        rows.append(engine.train_step(batch, objective, learning_rate(cfg.optim, step, args.steps)))
    layers = {
        name: {what: statistics.shares() for what, statistics in operands.statistics().items()}
        for name, operands in emulated_layers(engine.network).items()
    }
    return {
        "loss": [row["loss"] for row in rows],
        "grad_norm": [row["grad_norm"] for row in rows],
        "held_out_before": before,
        "held_out": engine.evaluate(held_out, objective)["loss"],
        "layers": layers,
    }


def summary(mode: str, run: dict[str, Any], reference: dict[str, Any]) -> dict[str, float | str]:
    """One row of the table; `last` is the mean over the last tenth of the steps."""
    gap = np.abs(np.array(run["loss"]) - np.array(reference["loss"]))
    last = max(1, len(gap) // 10)
    row: dict[str, float | str] = {
        "mode": mode,
        "last": float(np.mean(run["loss"][-last:])),
        "held_out": run["held_out"],
        "largest_gap": float(gap.max()),
        "last_gap": float(gap[-last:].mean()),
    }
    shares = [(name, what, s) for name, layer in run["layers"].items() for what, s in layer.items()]
    for quantity in ("underflow", "saturation", "relative_error"):
        if shares:
            row[quantity] = max(s[quantity] for _, _, s in shares)
    if shares:
        name, what, _ = max(shares, key=lambda entry: entry[2]["underflow"])
        row["where"] = f"{what} of {name.removeprefix('decoder.')}"
    return row


def write(args: argparse.Namespace, runs: dict[str, Any]) -> None:
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    rows = [summary(mode, run, runs["bf16"]) for mode, run in runs.items()]
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    about = {"settings": settings, "versions": versions(), "machine": platform.machine()}
    (out / "precision_lab.json").write_text(json.dumps({**about, "summary": rows, "runs": runs}, indent=1))
    (out / "precision_lab.md").write_text(_table(rows) + _layers_table(runs))
    _plot(runs, out / "precision_lab.png")


def _table(rows: list[dict[str, Any]]) -> str:
    head = ("", "loss, last tenth", "held-out loss", "largest gap to bf16", "gap, last tenth")
    head += ("underflow", "saturated", "relative error", "most underflow")
    lines = ["|" + "".join(f" {cell} |" if cell else " |" for cell in head), "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["mode"], *(f"{row[k]:.4f}" for k in ("last", "held_out", "largest_gap", "last_gap"))]
        shares = [f"{row[k]:.1e}" if k in row else "-" for k in ("underflow", "saturation", "relative_error")]
        lines.append("| " + " | ".join([*cells, *shares, row.get("where", "-")]) + " |")
    return "\n".join(lines) + "\n"


def _layers_table(runs: dict[str, Any]) -> str:
    """Underflow and saturation of every layer's operands, in ten thousandths of their elements that are not 0."""
    emulated = {mode: run["layers"] for mode, run in runs.items() if run["layers"]}
    if not emulated:
        return ""
    lines = ["", "| underflow / saturation, 1e-4 | " + " | ".join(emulated) + " |", "|" + "---|" * (len(emulated) + 1)]
    first = next(iter(emulated.values()))
    for name, what in ((name, what) for name, operands in first.items() for what in operands):
        shares = (layers[name][what] for layers in emulated.values())
        cells = (f"{1e4 * s['underflow']:.2f} / {1e4 * s['saturation']:.2f}" for s in shares)
        lines.append(f"| {what} of {name.removeprefix('decoder.')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plot(runs: dict[str, Any], path: Path) -> None:
    figure, (losses, gaps) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    reference = np.array(runs["bf16"]["loss"])
    for mode, run in runs.items():
        loss = np.array(run["loss"])
        style = {"color": "black", "linewidth": 1.6} if mode == "bf16" else {"linewidth": 1.0}
        losses.plot(_smooth(loss), label=mode, **style)
        if mode != "bf16":
            gaps.plot(_smooth(np.abs(loss - reference)), label=mode, linewidth=1.0)
    losses.set(title="Loss (mean of 10 steps)", xlabel="step")
    gaps.set(title="Distance from bf16 (mean of 10 steps)", xlabel="step", yscale="log")
    for axes in (losses, gaps):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _smooth(values: np.ndarray) -> np.ndarray:
    window = min(10, len(values))
    return np.convolve(values, np.ones(window) / window, mode="valid")


def _batches(samples: list[Sample], cfg: RunConfig, chat: ChatTokenizer) -> list[MicroBatch]:
    return micro_batches([len(s.tokens) for s in samples], samples.__getitem__, cfg, chat.pad_id)


@contextmanager
def _spec_of(mode: str) -> Iterator[None]:
    """The engine builds its layers from `gpt.block_spec`; meanwhile that is the emulated one."""
    usual = gpt.block_spec
    if mode in RECIPES:
        gpt.block_spec = partial(emulated_block_spec, recipe=mode)
    try:
        yield
    finally:
        gpt.block_spec = usual


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of every run (default: 300)")
    parser.add_argument("--batch", type=int, default=16, help="sequences a step (default: 16)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default: 1e-3)")
    parser.add_argument(
        "--weights", choices=("nano", "random"), default="nano", help="shipped base model, or random (default: nano)"
    )
    parser.add_argument(
        "--modes", nargs="+", choices=MODES, default=MODES, help="what to run beside bf16 (default: all)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--out", default="runs/precision_lab", help="folder for results (default: runs/precision_lab)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
