"""Floating-point operations of a model: matrix products and causal attention, nothing else.

One multiplication and one addition are two operations.  Causal attention counts the half of the score matrix that is
used.  The embedding is a look-up and costs none; the output layer is a matrix product.  With these rules the FLOP rates
that NVIDIA publishes beside its token rates come out to the digit (tests/planner/test_flops.py).
"""

from __future__ import annotations

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.planner import parameters


def layer_matmul(shape: ArchShape) -> int:
    """Forward FLOPs of one token in the matrices of one layer."""
    return 2 * parameters.layer(shape, tp=1).linear


def layer_attention(shape: ArchShape, length: float) -> float:
    """Forward FLOPs of one token in the attention of one layer, averaged over a causal sequence of `length` tokens."""
    return 2 * length * shape.num_heads * shape.head_dim


def output_layer(shape: ArchShape) -> int:
    """Forward FLOPs of one token in the output layer."""
    return 2 * shape.vocab_size * shape.hidden_size


def forward(shape: ArchShape, length: float) -> float:
    """Forward FLOPs of one token of a sequence of `length` tokens."""
    layers = shape.num_layers * (layer_matmul(shape) + layer_attention(shape, length))
    return layers + output_layer(shape)


def training(shape: ArchShape, length: float) -> float:
    """Model FLOPs of one trained token: forward and, twice that, backward; recomputation does not count."""
    return 3 * forward(shape, length)
