"""Seconds of the rollouts of a GRPO step.

A decoding step reads all weights and every key and value so far, so memory bandwidth bounds it; a prompt is computed
once.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleming_nemo.planner import constants as c
from fleming_nemo.planner import flops, parameters
from fleming_nemo.planner.memory import cache_token
from fleming_nemo.planner.workload import Rollouts, Workload


@dataclass(frozen=True)
class Generation:
    """Attributes:
    prefill, decode: seconds.
    steps: decoding steps of one replica.
    batch: sequences decoded together, on average.
    """

    prefill: float
    decode: float
    steps: float
    batch: float

    @property
    def total(self) -> float:
        return self.prefill + self.decode


def generate(work: Workload, rollouts: Rollouts) -> Generation:
    """Time of the slowest replica, which is as good as any other: all have the same number of responses."""
    share = -(-rollouts.count * rollouts.tp // rollouts.gpus)
    together = min(share, rollouts.batch, _room(work, rollouts))
    mean = share / together * rollouts.response  # steps if every place were always taken
    if rollouts.one_off:
        steps = mean  # responses of the next step begin before the last ones of this step have ended
    elif rollouts.continuous:
        steps = max(rollouts.longest, mean + rollouts.longest - rollouts.response)
    else:
        steps = -(-share // together) * rollouts.longest
    steps = float(steps)
    batch = share * rollouts.response / steps
    prefill = share * rollouts.prompt * flops.forward(work.shape, rollouts.prompt) / rollouts.tp
    return Generation(
        prefill=prefill / (work.gpu.bf16_flops * c.MATMUL_BF16),
        decode=steps * decode_step(work, rollouts, batch),
        steps=steps,
        batch=batch,
    )


def decode_step(work: Workload, rollouts: Rollouts, batch: float) -> float:
    """Seconds for one more token of each of `batch` sequences, which are half grown on average."""
    tp, gpu, shape = rollouts.tp, work.gpu, work.shape
    weights = 2 * parameters.rank(shape, tp, 1, 1, 0).total
    context = rollouts.prompt + rollouts.response / 2
    read = weights + batch * context * cache_token(work, tp)
    compute = batch * flops.forward(shape, 2 * context) / tp / (gpu.bf16_flops * c.MATMUL_BF16)
    collectives = 2 * shape.num_layers * c.DECODE_LATENCY if tp > 1 else 0.0
    return max(read / (gpu.hbm * c.DECODE_HBM), compute) + collectives + c.DECODE_STEP


def transfer(work: Workload, rollouts: Rollouts) -> float:
    """Seconds to give the rollout engine new weights: nothing where the training weights themselves generate."""
    if not (rollouts.continuous or rollouts.one_off):
        return 0.0
    size = 2 * parameters.whole(work.shape) / rollouts.tp
    rate = work.gpu.network if rollouts.one_off else min(work.gpu.nvlink, work.gpu.network * work.gpu.domain)
    return c.REFIT_FIXED + size / (rate * c.REFIT)


def _room(work: Workload, rollouts: Rollouts) -> int:
    """Sequences whose keys and values fit the cache together."""
    if not rollouts.cache:
        return rollouts.batch
    each = (rollouts.prompt + rollouts.response) * cache_token(work, rollouts.tp)
    return max(1, int(rollouts.cache // each))
