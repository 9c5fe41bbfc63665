"""Bytes per GPU of one training step, part by part, for every pipeline stage."""

from __future__ import annotations

from dataclasses import dataclass, fields

from fleming_nemo.planner import activations, parameters
from fleming_nemo.planner.hardware import GB
from fleming_nemo.planner.workload import Rollouts, Workload

GRADIENT = 4
"""Bytes per parameter: gradients are summed in fp32 (`grad_reduce_in_fp32`)."""
OPTIMIZER = 12
"""Bytes per parameter, shared out over data- and context-parallel ranks: fp32 weight and two fp32 moments.  A run in
fp32 needs no second copy of the weight."""
FP8_COPIES = 2
"""Bytes per parameter of a matrix that fp8 multiplies: a row-wise and a column-wise copy beside the bf16 weight."""
LOSS = 12
"""Bytes per logit at the peak of the loss: model output and the trained rows of it in bf16 (2 + 2), their fp32 copy
(4), and a masked fp32 copy or, in the backward pass, its gradient (4)."""
RESERVED = 4 * GB
"""CUDA context (0.5 GB), NCCL buffers of five to eight communicators (0.2 to 0.4 GB each), cuBLAS and Transformer
Engine workspaces (0.1 GB), temporary buffers of the optimizer step (up to 1 GB): an assumption.  Fragmentation is
covered by the difference between a GPU's printed and real size (see `hardware`)."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU of one pipeline stage; the sum is what the GPU must hold."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Kept from forward to backward passes, over all micro-batches in flight, plus one layer that is recomputed."""
    logits: float
    cache: float
    """Keys and values of generation in the same process; never needed at the same time as activations."""
    reserved: float

    @property
    def total(self) -> float:
        held = self.weights + self.gradients + self.optimizer + self.reserved
        return held + max(self.activations + self.logits, self.cache)


PARTS = tuple(f.name for f in fields(Memory))


def stages(work: Workload) -> list[Memory]:
    """Memory of each pipeline stage."""
    return [_stage(work, stage) for stage in range(work.pp)]


def worst(work: Workload) -> tuple[int, Memory]:
    """(number, memory) of the stage that needs most."""
    return max(enumerate(stages(work)), key=lambda pair: pair[1].total)


def in_flight(work: Workload, stage: int) -> int:
    """Chunk-passes whose activations stage `stage` holds at its peak.

    1F1B: a stage runs ahead by the number of stages behind it.  Interleaved: by twice that, after (vp - 1) groups of pp
    (`megatron.core.pipeline_parallel.schedules.get_pp_rank_microbatches`); a chunk is 1/vp of the stage's layers.
    """
    behind = work.pp - stage - 1
    ahead = 2 * behind + (work.vp - 1) * work.pp if work.vp > 1 else behind
    return min(ahead + 1, work.passes * work.vp)


def _stage(work: Workload, stage: int) -> Memory:
    count = parameters.rank(work.shape, work.tp, work.pp, work.vp, stage)
    ranks = work.dp * work.cp
    everywhere = ranks if work.fully_sharded else 1
    tokens = work.peak_tokens / work.cp
    layer, boundary = activations.layer_bytes(work) * tokens, activations.boundary_bytes(work) * tokens
    chunk = (work.layers - work.recomputed) * layer + work.recomputed * boundary
    kept = in_flight(work, stage) * chunk + (layer if work.recomputed else 0)
    last = stage == work.pp - 1
    logits = LOSS * tokens * work.shape.padded_vocab_size(work.tp) / work.tp if last else 0.0
    return Memory(
        weights=(work.weight_bytes * count.total + _fp8_copies(work, count.linear)) / everywhere,
        gradients=GRADIENT * count.total / everywhere,
        optimizer=(OPTIMIZER if work.weight_bytes == 2 else OPTIMIZER - 4) * count.total / ranks,
        activations=kept,
        logits=logits,
        cache=_cache(work, work.rollouts) if work.rollouts else 0.0,
        reserved=RESERVED,
    )


def _fp8_copies(work: Workload, linear: int) -> float:
    if not work.fp8:
        return 0.0
    in_fp8 = 1 - 2 * work.bf16_ends / work.shape.num_layers
    return FP8_COPIES * linear * in_fp8


def cache_token(work: Workload, tp: int) -> float:
    """Bytes of keys and values of one token on one GPU of a replica cut `tp` ways."""
    return work.weight_bytes * work.shape.num_layers * 2 * work.shape.num_kv_heads * work.shape.head_dim / tp


def _cache(work: Workload, rollouts: Rollouts) -> float:
    """Cache of one replica, with its own copy of the weights if it has one; none where other GPUs generate.

    The cache is what the engine reserves, else what the batch needs.
    """
    if rollouts.one_off:
        return 0.0
    replicas = rollouts.gpus // rollouts.tp
    batch = min(rollouts.batch, -(-rollouts.count // replicas))
    cache = rollouts.cache or batch * (rollouts.prompt + rollouts.longest) * cache_token(work, rollouts.tp)
    return cache + rollouts.weights
