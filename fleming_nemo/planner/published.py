"""Published measurements, planned anew: how far the planner is off.

    python -m fleming_nemo.planner.published

prints the table and the list of docs/scaling.md.  Three runs calibrate one constant each (`constants`); all others are
predictions.  What a source does not say is assumed, and the assumption stands beside the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.planner import parameters
from fleming_nemo.planner.hardware import GB, GPUS
from fleming_nemo.planner.plan import Plan, plan
from fleming_nemo.planner.workload import Rollouts, Workload

LLAMA_8B = ArchShape("llama", 32, 4096, 14336, 32, 8, 128, 128256, 5e5, 1e-5, False, 8192)
LLAMA_70B = ArchShape("llama", 80, 8192, 28672, 64, 8, 128, 128256, 5e5, 1e-5, False, 8192)
QWEN3_8B = ArchShape("qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 1e6, 1e-6, False, 40960)
QWEN3_32B = ARCHS["qwen3-32b"]

SECONDS = "s / step"
RATE = "tok/s/GPU"
MEMORY = "GB"


@dataclass(frozen=True)
class Run:
    """One published measurement.

    Attributes:
        source: where it is printed.
        calibrates: the constant that was set on it; empty for a prediction.
        unit: what was measured, SECONDS, RATE or MEMORY.
        measured: its value; the middle where a range is printed.
        work: the same run for the planner.
        assumed: what the source does not say.
    """

    name: str
    source: str
    unit: str
    measured: float
    work: Workload
    assumed: str = ""
    calibrates: str = ""

    @property
    def estimate(self) -> float:
        return _READ[self.unit](plan(self.work))

    @property
    def error(self) -> float:
        """Relative: 0.1 = the estimate is a tenth too high."""
        return self.estimate / self.measured - 1


_READ: dict[str, Callable[[Plan], float]] = {
    SECONDS: lambda p: p.seconds,
    RATE: lambda p: p.tokens_per_second,
    MEMORY: lambda p: p.memory.total / GB,
}


def _training(shape: ArchShape, gpu: str, gpus: int, batch: int, length: int, **more: Any) -> Workload:
    """Pretraining or packed SFT: `batch` sequences of `length` tokens, one a pass unless `micro` says more."""
    micro = more.pop("micro", 1)
    sizes = {name: more.pop(name, 1) for name in ("tp", "pp", "vp", "cp")}
    dp = gpus // (sizes["tp"] * sizes["pp"] * sizes["cp"])
    return Workload(
        shape=shape, gpu=GPUS[gpu], gpus=gpus, dp=dp, **sizes,
        sequence_parallel=sizes["tp"] > 1, overlap=True, fp8=more.pop("fp8", False), bf16_ends=0,
        recompute=more.pop("recompute", 0), step_tokens=batch * length, pass_tokens=micro * length,
        peak_tokens=micro * length, length=length,
        passes=batch // (dp * micro), **more,
    )  # fmt: skip


def _grpo(shape: ArchShape, gpu: str, gpus: int, response: int, gen_tp: int, **more: Any) -> Workload:
    """A GRPO step of NeMo-RL: 64 questions x 32 responses, at most 4,096 tokens with the prompt, 4 updates of 512.

    Args:
        response: tokens of a mean response; token rate x step time / responses of a step says that prompts have 104.
        one_off: half of the GPUs train, half generate the next step.
        vllm: part of the memory that vLLM takes for weights and cache.
    """
    one_off, vllm = more.pop("one_off", False), more.pop("vllm", 0.6)
    work = _training(shape, gpu, gpus // 2 if one_off else gpus, 512, PROMPT + response, **more)
    together = max(1, 4096 // (PROMPT + response))  # sequences that a pack of 4,096 tokens holds
    passes = math.ceil(512 / work.dp / together)
    rollouts = Rollouts(
        count=2048, prompt=PROMPT, response=response, longest=4096 - PROMPT, tp=gen_tp, gpus=work.train_gpus,
        continuous=True, cache=vllm * work.gpu.memory - 2 * parameters.whole(shape) / gen_tp, forward_passes=2,
        one_off=one_off,
    )  # fmt: skip
    return replace(
        work, gpus=gpus, updates=4, passes=passes, pass_tokens=512 * work.length / work.dp / passes, peak_tokens=4096,
        rollouts=rollouts,
    )  # fmt: skip


PROMPT = 104
_GRPO = "packs of 4,096 tokens, two passes for log-probabilities (policy, reference), vLLM takes 60 % of the memory"
_HALVES = _GRPO + ", half of the GPUs generate"
_HALVES_80 = _HALVES.replace("60", "80")
_NEMO_RL = "NeMo-RL 0.5 performance summary"
_BRIDGE = "Megatron-Bridge performance summary"
_DGXC = "NVIDIA dgxc-benchmarking, Llama 3.1 70B, 24.09"
_TITAN = "torchtitan benchmarks, 2024-12"
_TITAN_GPU = replace(GPUS["h100"], memory=96 * GB, hbm=2.4e12)


def runs() -> list[Run]:
    """All measurements of the table, calibrating ones first."""
    seventy: dict[str, Any] = {"tp": 4, "pp": 4, "vp": 5, "cp": 2, "hidden_tp": True}
    sft = _training(LLAMA_70B, "h100", 32, 32, 4096, tp=4, pp=4, vp=5, fp8=True, hidden_tp=True)
    eight: dict[str, Any] = {"pp": 2, "recompute": -1}
    titan = _training(LLAMA_8B, "h100", 8, 16, 8192, micro=2, recompute=16, fully_sharded=True)
    titan = replace(titan, gpu=_TITAN_GPU)
    every_second = "selective recomputation counted as every second layer, cards of 500 W as of 700 W"
    overlaps = "tensor-parallel communication overlaps (tp_comm_overlap)"
    return [
        Run("Llama 3.1 70B, BF16, 64 H100", _DGXC, SECONDS, 14.72,
            _training(LLAMA_70B, "h100", 64, 128, 8192, **seventy), overlaps, "MATMUL_BF16"),
        Run("Llama 3 70B SFT, FP8, 32 H100", _BRIDGE, RATE, 1638, sft,
            overlaps + ", 32 sequences of 4,096 tokens a step", "MATMUL_FP8"),
        Run("GRPO Llama-3.1-8B, 16 H100", _NEMO_RL, SECONDS, 92.8,
            _grpo(LLAMA_8B, "h100", 16, 1042, 1, **eight), _GRPO, "DECODE_HBM"),
        Run("Llama 3.1 70B, BF16, 1,024 H100", _DGXC, SECONDS, 14.92,
            _training(LLAMA_70B, "h100", 1024, 2048, 8192, **seventy), overlaps),
        Run("Llama 3.1 70B, BF16, 2,048 H100", _DGXC, SECONDS, 14.98,
            _training(LLAMA_70B, "h100", 2048, 4096, 8192, **seventy), overlaps),
        Run("Llama 3.1 70B, FP8, 64 H100", _DGXC, SECONDS, 11.01,
            _training(LLAMA_70B, "h100", 64, 128, 8192, fp8=True, **seventy), overlaps),
        Run("Llama 3 70B, FP8, 64 H100", _BRIDGE, RATE, 1621,
            _training(LLAMA_70B, "h100", 64, 256, 8192, tp=4, pp=8, vp=5, fp8=True, hidden_tp=True), overlaps),
        Run("Llama 3 8B, FP8, 8 H100, FSDP", _BRIDGE, RATE, 14451,
            _training(LLAMA_8B, "h100", 8, 128, 8192, fp8=True, fully_sharded=True)),
        Run("Llama 3.1 8B, BF16, 8 H100, FSDP + compile", _TITAN, RATE, 6667, titan, every_second),
        Run("Llama 3.1 8B, BF16, 8 H100, FSDP + compile: memory", _TITAN, MEMORY, 82.7, titan, every_second),
        Run("GRPO Llama-3.1-8B, 1-off, 16 H100", _NEMO_RL, SECONDS, 64.8,
            _grpo(LLAMA_8B, "h100", 16, 1150, 1, one_off=True, **eight), _HALVES),
        Run("GRPO Qwen3-32B, 32 H100", _NEMO_RL, SECONDS, 376,
            _grpo(QWEN3_32B, "h100", 32, 3251, 4, tp=4, pp=4), _GRPO),
        Run("GRPO Qwen3-32B, 1-off, 64 H100", _NEMO_RL, SECONDS, 200,
            _grpo(QWEN3_32B, "h100", 64, 3251, 4, one_off=True, vllm=0.8, tp=4, pp=4), _HALVES_80),
        Run("GRPO Qwen3-32B, 16 GB200", _NEMO_RL, SECONDS, 381,
            _grpo(QWEN3_32B, "gb200", 16, 3251, 1, tp=2), _GRPO),
        Run("GRPO Qwen3-32B, 1-off, 32 GB200", _NEMO_RL, SECONDS, 210,
            _grpo(QWEN3_32B, "gb200", 32, 3251, 1, one_off=True, vllm=0.8, tp=2), _HALVES_80),
        *_megatron_rl(),
    ]  # fmt: skip


def _megatron_rl() -> list[Run]:
    """Megatron-LM's nightly throughput test: 2 questions x 2 responses of at most 1,024 tokens, cache of 20 GB."""
    work = _training(QWEN3_8B, "h100", 8, 4, 1024, tp=4)
    work = replace(
        work, sequence_parallel=False, overlap=False,
        rollouts=Rollouts(count=4, prompt=128, response=896, longest=896, tp=4, gpus=8, cache=20 * GB),
    )  # fmt: skip
    full = "all responses of full length"
    source = "Megatron-LM functional test gpt_grpo_tp4_pp1_dp2_8b_throughput"
    return [
        Run("Megatron-RL Qwen3-8B, 8 H100: iteration", source, SECONDS, 13.3, work,
            full),
        Run("Megatron-RL Qwen3-8B, 8 H100: peak memory", source, MEMORY, 64.2, work, full),
    ]  # fmt: skip


def table() -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| run | measured | estimate | error | |",
        "|---|---|---|---|---|",
    ]
    for run in runs():
        role = f"calibrates `{run.calibrates}`" if run.calibrates else ""
        digits = 0 if run.measured >= 100 else 1
        measured, estimate = f"{run.measured:,.{digits}f} {run.unit}", f"{run.estimate:,.{digits}f}"
        error = f"{run.error:+.0%}" if abs(run.error) >= 0.005 else "0%"
        lines.append(f"| {run.name} | {measured} | {estimate} | {error} | {role} |")
    return "\n".join(lines)


def assumptions() -> str:
    """Sources, the runs taken from them, and what was assumed where they are silent, as a Markdown list."""
    names: dict[tuple[str, str], list[str]] = {}
    for run in runs():
        names.setdefault((run.source, run.assumed), []).append(run.name)
    return "\n".join(
        f"- {source} ({'; '.join(found)})." + (f" Assumed: {assumed}." if assumed else "")
        for (source, assumed), found in names.items()
    )


if __name__ == "__main__":
    print(f"{table()}\n\n{assumptions()}")
