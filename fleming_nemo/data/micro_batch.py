"""One forward pass of one rank, and the sequences that it is made of.

Shapes: B rows, T positions (of this context-parallel rank), S sequences.  Position t of `tokens_BT` predicts
`targets_BT[t]`, the token after it; `mask_BT` is 1 where that prediction counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fleming_nemo.parallel import groups  # noqa: F401  first: it switches the CPU backend on

from megatron.core.packed_seq_params import PackedSeqParams  # isort: skip


@dataclass
class MicroBatch:
    """One forward pass of one rank."""

    tokens_BT: Tensor
    positions_BT: Tensor
    """Place of each token in its sequence."""
    targets_BT: Tensor
    mask_BT: Tensor
    sequence_BT: Tensor
    """Which of the S sequences a token belongs to; 0 on padding."""
    rollout_BT: Tensor
    """Log-probabilities recorded by the rollout engine (GRPO); zeros in SFT."""
    weight_S: Tensor
    """Advantage of each sequence (GRPO); ones in SFT."""
    length_S: Tensor
    """Trained tokens of each sequence, over all context-parallel ranks."""
    packed: PackedSeqParams | None
    """Where the sequences of a pack begin and end, over all context-parallel ranks; None for padded rows."""
    old_BT: Tensor | None = None
    """Log-probabilities under the weights that drew the batch; None while the policy still has those weights."""
    reference_BT: Tensor | None = None
    """Log-probabilities under the reference policy; None without a KL term."""


@dataclass
class Sample:
    """One sequence: token ids, loss mask of the same length, and what GRPO adds."""

    tokens: np.ndarray
    mask: np.ndarray
    weight: float = 1.0
    logprobs: np.ndarray | None = None
    """Rollout log-probability of each token with mask 1, in order."""
    prompt: int = 0
    """Leading tokens that it was asked with (GRPO); none of them is trained."""
