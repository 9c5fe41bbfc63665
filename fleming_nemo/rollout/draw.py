"""One token for every sequence, from the logits of its next position.

A real vocabulary has 151,936 entries, so that every pass over the probabilities counts: the token is looked for in two
levels, first among sums of blocks and then in one block.

Shapes: A sequences, V tokens, K blocks of W tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_WHOLE = 2.0**50
"""Probabilities are added up as whole numbers of this: their sum is the same in any order, and deterministic on CUDA,
where a running sum of floating-point numbers is not."""


def draw(logits_AV: Tensor, uniform_A: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Sample by inverting the cumulative distribution of softmax(logits / temperature); arg max at temperature 0.

    Args:
        uniform_A: a random number in [0, 1) of each sequence, float64.

    Returns:
        Token ids [A], and their log-probabilities [A] in fp32 (at temperature 0 those of temperature 1).
    """
    logits_AV = logits_AV.float()
    if temperature not in (0, 1):
        logits_AV = logits_AV / temperature
    top_A1 = logits_AV.amax(-1, keepdim=True)
    p_AKW = _blocks(logits_AV, top_A1)
    sum_AK = p_AKW.sum(-1)
    total_A1 = sum_AK.sum(-1, keepdim=True)
    token_A = logits_AV.argmax(-1) if temperature == 0 else _inverted(p_AKW, sum_AK, total_A1, uniform_A)
    token_A.clamp_(max=logits_AV.size(1) - 1)
    return token_A, (logits_AV.gather(1, token_A[:, None]) - top_A1 - total_A1.log())[:, 0]


def _blocks(logits_AV: Tensor, top_A1: Tensor) -> Tensor:
    """exp(logits - top) in as many blocks as there are tokens in each, about; zeros behind the last token."""
    count = logits_AV.size(1)
    width = 1 << math.ceil(math.log2(count) / 2)
    p_AV = logits_AV.new_empty(len(logits_AV), -(-count // width) * width)
    torch.sub(logits_AV, top_A1, out=p_AV[:, :count]).exp_()
    p_AV[:, count:] = 0
    return p_AV.unflatten(1, (-1, width))


def _inverted(p_AKW: Tensor, sum_AK: Tensor, total_A1: Tensor, uniform_A: Tensor) -> Tensor:
    """First token up to which the probabilities add up to more than the random number."""
    width = p_AKW.size(-1)
    one_A1 = _WHOLE / total_A1.double()
    rising_AK = _whole(sum_AK, one_A1).cumsum(-1)
    threshold_A1 = (uniform_A[:, None] * rising_AK[:, -1:]).long()
    block_A1 = _first_above(rising_AK, threshold_A1)
    before_A1 = torch.where(block_A1 > 0, rising_AK.gather(1, (block_A1 - 1).clamp(min=0)), 0)
    block_AW = p_AKW.gather(1, block_A1[..., None].expand(-1, -1, width))[:, 0]
    in_block_AW = _whole(block_AW, one_A1).cumsum(-1)
    # a block's own numbers may add up to a little less than its sum in fp32: never beyond the last that is not zero
    threshold_A1 = torch.minimum(threshold_A1 - before_A1, in_block_AW[:, -1:] - 1)
    return (block_A1 * width + _first_above(in_block_AW, threshold_A1))[:, 0]


def _whole(x: Tensor, one_A1: Tensor) -> Tensor:
    return (x * one_A1).long()


def _first_above(rising: Tensor, threshold_A1: Tensor) -> Tensor:
    """Index [A, 1] of the first of the rising numbers that exceeds the threshold."""
    return torch.searchsorted(rising, threshold_A1, right=True).clamp_(max=rising.size(1) - 1)
