"""One token for every sequence, from the logits of its next position.

A real vocabulary has 151,936 entries, so that every pass over the probabilities counts: the token is looked for in two
levels, first among sums of blocks and then in one block.

Shapes: A sequences, V tokens, K blocks of W tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 512
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
    norm_A1 = logits_AV.logsumexp(-1, keepdim=True)
    token_A = logits_AV.argmax(-1) if temperature == 0 else _inverted((logits_AV - norm_A1).exp_(), uniform_A)
    return token_A, (logits_AV.gather(1, token_A[:, None]) - norm_A1)[:, 0]


def _inverted(p_AV: Tensor, uniform_A: Tensor) -> Tensor:
    """First token up to which the probabilities add up to more than the random number."""
    count = p_AV.size(1)
    if count % _BLOCK:
        p_AV = F.pad(p_AV, (0, -count % _BLOCK))
    p_AKW = p_AV.unflatten(1, (-1, _BLOCK))
    rising_AK = _whole(p_AKW.sum(-1)).cumsum(-1)
    threshold_A1 = (uniform_A[:, None] * rising_AK[:, -1:]).long()
    block_A1 = _first_above(rising_AK, threshold_A1)
    before_A1 = torch.where(block_A1 > 0, rising_AK.gather(1, (block_A1 - 1).clamp(min=0)), 0)
    in_block_AW = _whole(p_AKW.gather(1, block_A1[..., None].expand(-1, -1, _BLOCK))[:, 0]).cumsum(-1)
    # a block's own numbers may add up to a little less than its sum in fp32: never beyond the last that is not zero
    threshold_A1 = torch.minimum(threshold_A1 - before_A1, in_block_AW[:, -1:] - 1)
    token_A = (block_A1 * _BLOCK + _first_above(in_block_AW, threshold_A1))[:, 0]
    return token_A.clamp_(max=count - 1)


def _whole(x: Tensor) -> Tensor:
    return (x.double() * _WHOLE).long()


def _first_above(rising: Tensor, threshold_A1: Tensor) -> Tensor:
    """Index [A, 1] of the first of the rising numbers that exceeds the threshold."""
    return torch.searchsorted(rising, threshold_A1, right=True).clamp_(max=rising.size(1) - 1)
