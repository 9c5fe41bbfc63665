"""Bytes that a layer keeps from its forward to its backward pass.

The count is that of Korthikanti et al. (arXiv 2205.05198, section 4) with what has changed since: flash attention keeps
no score matrix, grouped-query attention has narrower keys and values, SwiGLU has two inputs, dropout is off.  For this
package's local layers it is exact: tests/planner/test_activations.py asks autograd what it saved.
"""

from __future__ import annotations

from fleming_nemo.planner.workload import Kernels, Workload


def layer_bytes(work: Workload) -> float:
    """Bytes for each token of a context-parallel rank."""
    cut = work.tp if work.sequence_parallel else 1
    return _norms(work) / cut + (_attention(work) + _feed_forward(work)) / work.tp + _rotary(work)


def boundary_bytes(work: Workload) -> float:
    """Bytes for each token of a layer that recomputes: its input."""
    cut = work.tp if work.sequence_parallel else 1
    return work.weight_bytes * work.shape.hidden_size / cut


def _norms(work: Workload) -> float:
    """Two norms: what goes in, the root mean square, and what the matrix product after it reads."""
    hidden, value = work.shape.hidden_size, work.weight_bytes
    if work.kernels is Kernels.LOCAL:
        return 2 * (2 * value * hidden + 4)  # the normed values before and after the weight
    return 2 * ((value + _product_input(work)) * hidden + 4)


def _attention(work: Workload) -> float:
    shape, value = work.shape, work.weight_bytes
    query, key = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    size = value * (query + 2 * key) + value * query + 4 * shape.num_heads  # q, k, v; the result and its log-sums
    if work.kernels is not Kernels.FUSED:
        size += value * (query + key)  # the values are a view, which keeps q and k before the rotation as well
    if work.kernels is Kernels.LOCAL and work.cp > 1:
        size += value * 2 * key * (work.cp - 1)  # keys and values of the whole sequence
    if work.fp8:
        size += query  # the output projection keeps its input in fp8 besides
    if shape.family == "qwen3":
        size += value * (query + key)
        if work.kernels is Kernels.LOCAL:
            size += 4 * (shape.num_heads + shape.num_kv_heads)
    return size


def _rotary(work: Workload) -> float:
    """Cosines and sines, for queries and for keys; the same on every tensor-parallel rank."""
    return 0.0 if work.kernels is Kernels.FUSED else 4 * work.weight_bytes * work.shape.head_dim


def _feed_forward(work: Workload) -> float:
    """Gate and up together; of megatron-core's unfused SwiGLU the activated gate and a copy of up; their product."""
    copies = 4 if work.kernels is Kernels.ENGINE else 2
    return (copies * work.weight_bytes + _product_input(work)) * work.shape.ffn_hidden_size


def _product_input(work: Workload) -> int:
    """Bytes of an element that a matrix product keeps for the gradient of its weight."""
    return 1 if work.fp8 else work.weight_bytes
