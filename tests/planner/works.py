"""Workloads for tests."""

from dataclasses import replace
from typing import Any

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.planner.hardware import GPUS
from fleming_nemo.planner.workload import Workload


def work(arch: str = "qwen2.5-7b", **changes: Any) -> Workload:
    """One pass of 4,096 tokens on one H100, changed; `gpus` follows from the sizes unless given."""
    sizes = {name: changes.get(name, 1) for name in ("tp", "pp", "cp", "dp")}
    plain = Workload(
        shape=ARCHS[arch], gpu=GPUS["h100"], gpus=0, vp=1, sequence_parallel=False, overlap=True, fp8=False,
        bf16_ends=0, recompute=0, step_tokens=4096.0, pass_tokens=4096.0, peak_tokens=4096, length=4096.0, passes=1,
        **sizes,
    )  # fmt: skip
    gpus = plain.train_gpus
    return replace(plain, **({"gpus": gpus} | changes))
