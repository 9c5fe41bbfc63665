"""Seconds of one optimizer step, phase by phase, and the bytes that each GPU sends.

A pass through a stage is the sum of matrix products, attention, memory traffic and exposed communication; a step is as
many passes as the slowest stage has, the bubble, and what the data-parallel ranks exchange.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from fleming_nemo.planner import constants as c
from fleming_nemo.planner import flops, parameters
from fleming_nemo.planner.workload import Kernels, Workload


@dataclass(frozen=True)
class StepTime:
    """Seconds of the phases of an optimizer step on the slowest stage; phases that overlap count what is exposed."""

    forward_backward: float
    recompute: float
    tp_communication: float
    cp_communication: float
    pp_communication: float
    bubble: float
    dp_communication: float
    optimizer: float

    @property
    def total(self) -> float:
        return sum(getattr(self, phase) for phase in PHASES)


PHASES = tuple(f.name for f in fields(StepTime))


@dataclass(frozen=True)
class Volume:
    """Bytes that one GPU sends in an optimizer step, by group."""

    tp: float
    cp: float
    pp: float
    dp: float


_PASSES = {Kernels.LOCAL: (8, 8, 7), Kernels.ENGINE: (2, 8, 7), Kernels.FUSED: (2, 2, 3)}
"""How often a forward pass reads or writes: a norm its values, the rotation queries and keys, SwiGLU its width."""


def training_step(work: Workload) -> StepTime:
    """One optimizer step."""
    layers = work.shape.num_layers / work.pp
    recomputed = work.recomputed * work.vp
    compute = layers * (_layer_forward(work) + _layer_backward(work)) + _accumulation(work)
    again = recomputed * _layer_forward(work)
    output = _output_layer(work)
    tp = (layers + recomputed / 3) * _tp_layer_seconds(work) if work.tp > 1 else 0.0
    cp = layers * _cp_layer_seconds(work) if work.cp > 1 else 0.0
    p2p = _p2p_seconds(work) if work.pp > 1 else 0.0
    m = work.passes
    passes = compute + output + again + tp + cp + p2p
    # the stage with the output layer is the slowest; filling and draining takes a pass through the others
    bubble = (work.pp - 1) / work.vp * (passes - output * (1 - 1 / work.pp))
    forward = layers * _layer_forward(work)
    return StepTime(
        forward_backward=m * (compute + output),
        recompute=m * again,
        tp_communication=m * tp,
        cp_communication=m * cp,
        pp_communication=m * p2p,
        bubble=bubble,
        dp_communication=_dp_seconds(work, forward, compute - forward),
        optimizer=_optimizer_seconds(work),
    )


def forward_only(work: Workload) -> float:
    """Seconds of a forward pass over all tokens of a step, as log-probabilities of rollouts need it."""
    layers = work.shape.num_layers / work.pp
    once = layers * _layer_forward(work) + _output_layer(work) / 3
    once += (layers * _tp_layer_seconds(work) if work.tp > 1 else 0.0) * 0.4
    once += (layers * _cp_layer_seconds(work) if work.cp > 1 else 0.0) / 3
    return once * (work.updates * work.passes + (work.pp - 1) / work.vp)


def volume(work: Workload) -> Volume:
    """Bytes sent by one GPU of the first stage."""
    layers, m = work.shape.num_layers / work.pp, work.passes
    count = parameters.rank(work.shape, work.tp, work.pp, work.vp, 0).total
    ranks = work.dp * work.cp
    ring = (ranks - 1) / ranks
    return Volume(
        tp=m * (layers * _tp_layer_bytes(work) + work.recomputed * work.vp * 0.4 * _tp_layer_bytes(work)),
        cp=m * layers * _cp_layer_bytes(work),
        pp=m * 2 * work.vp * _boundary(work) if work.pp > 1 else 0.0,
        dp=ring * count * (4 + work.weight_bytes),
    )


def dp_stride(work: Workload) -> int:
    """Ranks between neighbours of a data-parallel group: Megatron counts tensor first, then context, then data."""
    return work.tp


def _tokens(work: Workload) -> float:
    """Tokens of one pass on one context-parallel rank."""
    return work.pass_tokens / work.cp


def _matmul_rate(work: Workload) -> float:
    """FLOP/s in the matrices of the layers, averaged over those that fp8 multiplies and those that it does not."""
    bf16 = work.gpu.bf16_flops * c.MATMUL_BF16
    if not work.fp8:
        return bf16
    in_bf16 = 2 * work.bf16_ends / work.shape.num_layers
    return 1 / (in_bf16 / bf16 + (1 - in_bf16) / (work.gpu.fp8_flops * c.MATMUL_FP8))


def _traffic(work: Workload) -> float:
    """Bytes that norms, residuals, rotary positions and SwiGLU of one layer read and write in a forward pass."""
    shape, tp = work.shape, work.tp
    norm, rotary, swiglu = _PASSES[work.kernels]
    cut = tp if work.sequence_parallel else 1
    turned = (shape.num_heads + shape.num_kv_heads) * shape.head_dim
    size = 2 * (2 * (norm + 3) * shape.hidden_size / cut + (rotary * turned + swiglu * shape.ffn_hidden_size) / tp)
    if work.fp8:  # casts: read two bytes, write a row-wise and a column-wise byte
        inputs = 2 * shape.hidden_size + shape.num_heads * shape.head_dim / tp + shape.ffn_hidden_size / tp
        size += 4 * inputs
    return size * _tokens(work)


def _layer_forward(work: Workload) -> float:
    matmul = _tokens(work) * flops.layer_matmul(work.shape) / work.tp / _matmul_rate(work)
    attention = _tokens(work) * flops.layer_attention(work.shape, work.length) / work.tp
    return matmul + attention / (work.gpu.bf16_flops * c.ATTENTION) + _traffic(work) / (work.gpu.hbm * c.HBM)


def _layer_backward(work: Workload) -> float:
    """Twice the forward pass, half as much again in attention, which computes its scores anew."""
    attention = _tokens(work) * flops.layer_attention(work.shape, work.length) / work.tp
    return 2 * _layer_forward(work) + 0.5 * attention / (work.gpu.bf16_flops * c.ATTENTION)


def _accumulation(work: Workload) -> float:
    """Adding a pass's gradients to the fp32 sums: read and write 4 bytes, and before, unless fused, 2 bytes."""
    count = parameters.rank(work.shape, work.tp, work.pp, work.vp, 0).total
    return (8 if work.kernels is Kernels.FUSED else 12) * count / (work.gpu.hbm * c.HBM)


def _output_layer(work: Workload) -> float:
    """Output layer and loss, forward and backward, on the last stage; always in bf16."""
    matmul = 3 * _tokens(work) * flops.output_layer(work.shape) / work.tp / (work.gpu.bf16_flops * c.MATMUL_BF16)
    logits = 30 * _tokens(work) * work.shape.vocab_size / work.tp  # read and written about eight times in 2 or 4 bytes
    return matmul + logits / (work.gpu.hbm * c.HBM)


def _boundary(work: Workload) -> float:
    """Bytes of the hidden states of one pass on one rank."""
    return 2 * work.shape.hidden_size * _tokens(work) / (work.tp if work.sequence_parallel else 1)


def _tp_layer_bytes(work: Workload) -> float:
    """Two gathers and two scatters each way; sequence parallelism gathers inputs twice more in the backward pass."""
    if work.tp == 1:
        return 0.0
    collectives = 10 if work.sequence_parallel else 8
    return collectives * (work.tp - 1) / work.tp * 2 * work.shape.hidden_size * _tokens(work)


def _tp_layer_seconds(work: Workload) -> float:
    exposed = c.EXPOSED_TP_HIDDEN if work.hidden_tp else c.EXPOSED_TP
    return exposed * (_tp_layer_bytes(work) / _rate(work, work.tp, 1) + 8 * c.LATENCY)


def _cp_layer_bytes(work: Workload) -> float:
    """Keys and values of the other ranks, forward and again backward, and their gradients back."""
    if work.cp == 1:
        return 0.0
    kv = 2 * work.shape.num_kv_heads * work.shape.head_dim / work.tp
    return 3 * (work.cp - 1) * 2 * kv * _tokens(work)


def _cp_layer_seconds(work: Workload) -> float:
    return c.EXPOSED_CP * (_cp_layer_bytes(work) / _rate(work, work.cp, work.tp) + 3 * c.LATENCY)


def _p2p_seconds(work: Workload) -> float:
    """Hidden states forward and gradients backward, once for each chunk; stages are as far apart as they can be."""
    stride = work.train_gpus // work.pp
    return c.EXPOSED_P2P * 2 * work.vp * (_boundary(work) / _rate(work, work.pp, stride) + c.LATENCY)


def _dp_seconds(work: Workload, forward: float, backward: float) -> float:
    """Reduction of fp32 gradients and gathering of weights over data- and context-parallel ranks."""
    ranks = work.dp * work.cp
    if ranks == 1:
        return 0.0
    count = max(parameters.rank(work.shape, work.tp, work.pp, work.vp, stage).total for stage in {0, work.pp - 1})
    rate = _rate(work, ranks, dp_stride(work))
    ring = (ranks - 1) / ranks
    reduce, gather = ring * 4 * count / rate, ring * work.weight_bytes * count / rate
    if work.fully_sharded:  # weights are gathered in every pass, forward and backward
        reduce, gather = reduce * work.passes, 2 * gather * work.passes
        return max(0.0, reduce + gather - c.HIDING * work.passes * (forward + backward))
    if not work.overlap:
        return reduce + gather
    return max(0.0, reduce - c.HIDING * backward) + max(0.0, gather - c.HIDING * forward)


def _optimizer_seconds(work: Workload) -> float:
    """AdamW on this rank's share: 36 bytes per parameter read and written, the norm of the gradients included."""
    count = parameters.rank(work.shape, work.tp, work.pp, work.vp, 0).total / (work.dp * work.cp)
    return 36 * count / (work.gpu.hbm * c.HBM) + c.STEP


def _rate(work: Workload, size: int, stride: int) -> float:
    gpu = work.gpu
    share = c.NVLINK if size * stride <= gpu.domain else c.NETWORK
    return gpu.bandwidth(size, stride) * share
