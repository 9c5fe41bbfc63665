"""How fast a run trains: tokens per second, and the share of the GPUs' peak that its model FLOPs are (MFU).

Model FLOPs are the matrix products and the causal attention of one forward and one backward pass: what recomputation or
padding adds does not count as work done.  Counting is `planner.flops`, peaks are `planner.hardware`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.planner import flops
from fleming_nemo.planner.hardware import recognise


def step_flops(shape: ArchShape, lengths: Iterable[int]) -> float:
    """Model FLOPs of training on sequences of these lengths; packed or not, they do not attend to each other."""
    # Token n of a sequence attends to n tokens.  The sum over a sequence of L tokens, L * (L + 1) / 2, is what the
    # planner's average, half of the square, gives for a length of L + 1.
    return sum(length * flops.training(shape, length + 1) for length in lengths)


def peak_flops(device: str, precision: str) -> float | None:
    """Dense peak in FLOP/s of a device by the name that CUDA gives it; None where no data sheet's figure is known."""
    gpu = recognise(device)
    return {"bf16": gpu.bf16_flops, "fp8": gpu.fp8_flops}.get(precision) or None if gpu else None


class Throughput:
    """Speed of a run's steps.

    Args:
        device: name of this process's GPU; empty for a CPU.
        processes: of the whole run; each has one device.
    """

    def __init__(self, shape: ArchShape, precision: str, device: str, processes: int) -> None:
        self.shape = shape
        peak = peak_flops(device, precision)
        self._peak = None if peak is None else peak * processes

    def row(self, lengths: Iterable[int], seconds: float, training_seconds: float | None = None) -> dict[str, float]:
        """Metrics of one step: `tokens_per_second`, and `mfu` (a share of 1) where the peak is known.

        Args:
            lengths: tokens of every sequence of the step, over all ranks.
            seconds: of the whole step.
            training_seconds: the part of them in which these sequences were trained on, all of them if not given; the
                rest (sampling them, say) is not held against MFU.
        """
        lengths = list(lengths)
        row: dict[str, float] = {"tokens_per_second": round(sum(lengths) / seconds)}
        if self._peak is not None:
            row["mfu"] = round(step_flops(self.shape, lengths) / ((training_seconds or seconds) * self._peak), 4)
        return row


def of_this_run(shape: ArchShape, precision: str) -> Throughput:
    """For the devices and the number of processes that this process belongs to."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return Throughput(shape, precision, device, torch.distributed.get_world_size())
