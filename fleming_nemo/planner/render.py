"""Plans as plain text."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from fleming_nemo.planner import memory, plan
from fleming_nemo.planner.hardware import GB
from fleming_nemo.planner.plan import Plan
from fleming_nemo.planner.search import Layout
from fleming_nemo.planner.workload import Kernels


def report(name: str, made: Plan) -> str:
    """The whole answer to `fleming plan`."""
    work = made.work
    sizes = f"tp {work.tp} x pp {work.pp} x cp {work.cp} x dp {work.dp}" + (f", vp {work.vp}" if work.vp > 1 else "")
    lines = [
        f"{name} on {work.gpus} {work.gpu.name}: {sizes}",
        f"{work.step_tokens:,.0f} tokens a step; {work.passes} passes of {work.pass_tokens:,.0f} on each data-parallel "
        f"rank; {work.assumed}"
        if work.assumed
        else "",
        "",
        *_memory(made),
        "",
        *_time(made),
        "",
        *_speed(made),
    ]
    found = plan.warnings(made)
    if found:
        lines += ["", *(f"warning: {text}" for text in found)]
    lines += ["", "Estimates of a model, not measurements; docs/scaling.md says how far it is off on published runs."]
    return "\n".join(lines)


def layouts(name: str, gpus: int, gpu: str, found: list[Layout]) -> str:
    """The answer to `fleming plan --search`."""
    lines = [f"{name}: fastest layouts on {gpus} {gpu}", ""]
    for number, layout in enumerate(found, 1):
        made = layout.plan
        lines.append(f"{number}. {made.tokens_per_second:,.0f} tok/s/GPU, MFU {made.mfu:.0%}: {layout.reason}")
        lines.append(f"   {layout.overrides}")
    return "\n".join(lines)


def as_dict(made: Plan) -> dict[str, Any]:
    """The plan for machines; bytes and seconds."""
    work = made.work
    return {
        "gpus": work.gpus,
        "gpu": work.gpu.name,
        "parallel": {n: getattr(work, n) for n in ("tp", "pp", "vp", "cp", "dp")},
        "passes": work.passes,
        "pass_tokens": work.pass_tokens,
        "step_tokens": work.step_tokens,
        "stage": made.stage,
        "memory_bytes": asdict(made.memory) | {"total": made.memory.total, "capacity": work.gpu.memory},
        "fits": made.fits,
        "training_seconds": asdict(made.training) | {"total": made.training.total},
        "generation_seconds": asdict(made.generation) if made.generation else None,
        "step_seconds": made.seconds,
        "sent_bytes": asdict(made.volume),
        "tokens_per_second_per_gpu": made.tokens_per_second,
        "mfu": made.mfu,
        "warnings": plan.warnings(made),
    }


def _memory(made: Plan) -> list[str]:
    work, part = made.work, made.memory
    flying = memory.in_flight(work, made.stage)
    notes = {
        "weights": "fp8 copies included" if work.fp8 else "",
        "optimizer": f"shared out over {work.dp * work.cp} data- and context-parallel ranks",
        "activations": f"{flying} chunk passes in flight, {work.recomputed} of {work.layers} layers recompute",
        "cache": "of generation; not at the same time as activations and logits" if part.cache else "",
        "reserved": "CUDA, NCCL, workspaces: assumed",
    }
    lines = [f"memory of a GPU, GB (stage {made.stage} of {work.pp} needs most)"]
    for name in memory.PARTS:
        size = getattr(part, name)
        if size or name != "cache":
            lines.append(f"  {name:<14}{size / GB:7.1f}  {notes.get(name, '')}".rstrip())
    verdict = "fits" if made.fits else "does NOT fit"
    lines.append(f"  {'total':<14}{part.total / GB:7.1f}  of {work.gpu.memory / GB:.0f}: {verdict}")
    if work.kernels is Kernels.ENGINE and not work.fp8:
        local = memory.worst(replace(work, kernels=Kernels.LOCAL))[1].total
        lines.append(f"  without Transformer Engine {local / GB:.1f}")
    return lines


def _time(made: Plan) -> list[str]:
    lines = ["time of a step, s"]
    if made.generation:
        steps, batch = made.generation.steps, made.generation.batch
        lines.append(
            f"  {'generation':<20}{made.generation.total:8.2f}  {steps:,.0f} decoding steps, {batch:.0f} at once"
        )
    for name, seconds in asdict(made.training).items():
        if seconds:
            lines.append(
                f"  {name.replace('_', ' '):<20}{seconds:8.2f}  {seconds / made.training.total:4.0%} of training"
            )
    lines.append(f"  {'total':<20}{made.seconds:8.2f}")
    sent = ", ".join(f"{name} {size / GB:,.1f}" for name, size in asdict(made.volume).items() if size)
    return [*lines, f"sent by a GPU of the first stage in a step, GB: {sent or 'nothing'}"]


def _speed(made: Plan) -> list[str]:
    rate = made.tokens_per_second
    return [
        f"{rate:,.0f} tokens/s/GPU ({rate * made.work.gpus:,.0f} in all), "
        f"{made.training_flops / 1e12:.0f} TFLOP/s/GPU in training, MFU {made.mfu:.0%}"
    ]
