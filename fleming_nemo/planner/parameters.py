"""Parameters of every rank, exactly as megatron-core's GPTModel allocates them.

What tensor parallelism cuts: embedding, output layer, q/k/v with their biases, attention output, feed-forward.  What
every rank holds whole: RMSNorm weights, those on q and k included.  The embedding lies on the first pipeline stage,
final norm and output layer on the last; a tied output layer has no weight of its own where both are one stage, and a
copy of the embedding where they are not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from fleming_nemo.config.presets import ArchShape


@dataclass(frozen=True)
class Count:
    """Parameters of one rank, by what happens to them.

    Attributes:
        linear: matrices of the layers, which fp8 multiplies in 8 bits.
        vocabulary: embedding and output layer, which it never does.
        small: norms and biases.
    """

    linear: int = 0
    vocabulary: int = 0
    small: int = 0

    @property
    def total(self) -> int:
        return self.linear + self.vocabulary + self.small

    def __add__(self, other: Count) -> Count:
        return Count(self.linear + other.linear, self.vocabulary + other.vocabulary, self.small + other.small)


@functools.cache
def layer(shape: ArchShape, tp: int) -> Count:
    """One transformer layer on one tensor-parallel rank."""
    h, query, kv = shape.hidden_size, shape.num_heads * shape.head_dim, 2 * shape.num_kv_heads * shape.head_dim
    linear = h * (query + kv) + query * h + 3 * h * shape.ffn_hidden_size
    small = 2 * h
    if shape.family == "qwen2.5":
        small += (query + kv) // tp
    if shape.family == "qwen3":
        small += 2 * shape.head_dim
    return Count(linear=linear // tp, small=small)


def chunk(shape: ArchShape, tp: int, pp: int, vp: int, stage: int, number: int) -> Count:
    """Model chunk `number` (of `vp`) of pipeline stage `stage` (of `pp`) on one tensor-parallel rank."""
    one = layer(shape, tp)
    layers = shape.num_layers // (pp * vp)
    count = Count(linear=layers * one.linear, small=layers * one.small)
    table = shape.padded_vocab_size(tp) // tp * shape.hidden_size
    first = stage == 0 and number == 0
    last = stage == pp - 1 and number == vp - 1
    if first:
        count += Count(vocabulary=table)
    if last:
        count += Count(small=shape.hidden_size)
        if not (shape.tied and first):
            count += Count(vocabulary=table)
    return count


@functools.cache
def rank(shape: ArchShape, tp: int, pp: int, vp: int, stage: int) -> Count:
    """All chunks of one rank of a pipeline stage."""
    total = Count()
    for number in range(vp):
        total += chunk(shape, tp, pp, vp, stage, number)
    return total


def whole(shape: ArchShape) -> int:
    """Parameters of the model on one GPU."""
    return rank(shape, 1, 1, 1, 0).total
