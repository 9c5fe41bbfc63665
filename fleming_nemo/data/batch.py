"""Micro-batches: padded tensors cut for this context-parallel rank.

Shapes: B sequences, T positions (of this context-parallel rank).  Position t of `tokens_BT` predicts `targets_BT[t]`,
the token after it; `mask_BT` is 1 where that prediction counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import groups


@dataclass
class MicroBatch:
    """One forward pass of one rank."""

    tokens_BT: Tensor
    positions_BT: Tensor
    targets_BT: Tensor
    mask_BT: Tensor
    weight_B: Tensor
    """Advantage of each sequence (GRPO); ones in SFT."""
    reference_BT: Tensor
    """Log-probabilities recorded by the rollout engine (GRPO); zeros in SFT."""


@dataclass
class Sample:
    """One sequence: token ids, loss mask of the same length, and what GRPO adds."""

    tokens: np.ndarray
    mask: np.ndarray
    weight: float = 1.0
    logprobs: np.ndarray | None = None
    """Rollout log-probability of each token with mask 1, in order."""


def micro_batches(samples: Sequence[Sample], micro_batch: int, seq_length: int, pad_id: int) -> list[MicroBatch]:
    """Cut this rank's samples into micro-batches of sequences of similar length.

    The padded length is the longest of a micro-batch, except under pipeline parallelism, where stages agree on
    `seq_length` beforehand.
    """
    layout = groups.current()
    by_length = sorted(samples, key=lambda s: len(s.tokens))
    multiple = 2 * layout.cp * layout.tp
    batches = []
    for start in range(0, len(by_length), micro_batch):
        part = by_length[start : start + micro_batch]
        longest = len(part[-1].tokens)
        check_length(longest, seq_length)
        length = seq_length if layout.pp > 1 else -(-longest // multiple) * multiple
        batches.append(_collate(part, length, pad_id, layout.cp, layout.cp_rank))
    return batches


def check_length(longest: int, seq_length: int) -> None:
    """Raise a UserError where the longest sequence of a run (in tokens) does not fit: nothing is ever cut."""
    if longest > seq_length:
        raise UserError(f"a sequence has {longest} tokens; train.seq_length={seq_length} is too short for it")


def _collate(samples: Sequence[Sample], length: int, pad_id: int, cp: int, cp_rank: int) -> MicroBatch:
    shape = (len(samples), length)
    tokens, targets = np.full(shape, pad_id), np.full(shape, pad_id)
    mask, reference = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for row, sample in enumerate(samples):
        n = len(sample.tokens)
        tokens[row, :n] = sample.tokens
        targets[row, : n - 1] = sample.tokens[1:]
        mask[row, : n - 1] = sample.mask[1:]
        if sample.logprobs is not None:
            reference[row, np.flatnonzero(mask[row])] = sample.logprobs
    positions = np.tile(np.arange(length), (len(samples), 1))
    parts = [torch.from_numpy(x) for x in (tokens, positions, targets, mask, reference)]
    device = groups.device()
    tokens_BT, positions_BT, targets_BT, mask_BT, reference_BT = (zigzag(x, cp, cp_rank).to(device) for x in parts)
    weight_B = torch.tensor([s.weight for s in samples], dtype=torch.float32, device=device)
    return MicroBatch(tokens_BT, positions_BT, targets_BT, mask_BT, weight_B, reference_BT)


def zigzag(x_BT: Tensor, cp: int, cp_rank: int) -> Tensor:
    """Chunks `cp_rank` and `2 * cp - 1 - cp_rank` of 2 * cp: every rank gets the same share of causal work."""
    if cp == 1:
        return x_BT
    chunks = x_BT.chunk(2 * cp, dim=1)
    return torch.cat([chunks[cp_rank], chunks[2 * cp - 1 - cp_rank]], dim=1)
