"""Log-probabilities and entropy from logits that are cut along the vocabulary (tensor parallel).

Shapes: B sequences, T positions, N trained positions of a micro-batch, V columns of this rank's part of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fleming_nemo.data.batch import MicroBatch
from fleming_nemo.parallel import groups

from megatron.core.tensor_parallel import vocab_parallel_cross_entropy  # isort: skip


@dataclass(frozen=True)
class Sampling:
    """The distribution that a token is drawn from; trainer and rollout engine share this one definition.

    Attributes:
        temperature: the logits are divided by it.
        num_tokens: ids from here on are embedding rows without a token; they get no probability.
    """

    temperature: float
    num_tokens: int

    def logits(self, raw_NV: Tensor, tp_rank: int) -> Tensor:
        """fp32 logits of the distribution, from the model's logits of this rank's vocabulary columns."""
        logits_NV = raw_NV.float()
        if self.temperature != 1.0:
            logits_NV = logits_NV / self.temperature
        first = logits_NV.size(-1) * tp_rank
        if first + logits_NV.size(-1) > self.num_tokens:
            unused_V = torch.arange(first, first + logits_NV.size(-1), device=logits_NV.device) >= self.num_tokens
            logits_NV = logits_NV.masked_fill(unused_V, -1e30)  # finite: -inf minus -inf would be NaN
        return logits_NV


def trained_positions(logits_BTV: Tensor, batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor]:
    """(logits [N, V], targets [N], sequence index [N]) of the positions with mask 1.

    Everything after it works on these rows alone: prompts and padding are most of a batch.
    """
    at = batch.mask_BT.nonzero(as_tuple=True)
    return logits_BTV[at], batch.targets_BT[at], batch.sequence_BT[at]


def token_logprobs(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """log p(target) [N]; differentiable; equal on all tensor-parallel ranks.

    megatron-core overwrites the logits to save memory: take the entropy before.
    """
    return -vocab_parallel_cross_entropy(logits_NV, targets_N)


@torch.no_grad()
def entropy(logits_NV: Tensor) -> Tensor:
    """Entropy in nats [N] of the distribution at each position."""
    group = groups.tp_group()
    top_N = logits_NV.max(-1).values
    torch.distributed.all_reduce(top_N, torch.distributed.ReduceOp.MAX, group=group)
    shifted_NV = logits_NV - top_N[..., None]
    exp_NV = shifted_NV.exp()
    sums_2N = torch.stack([exp_NV.sum(-1), (exp_NV * shifted_NV).sum(-1)])
    torch.distributed.all_reduce(sums_2N, group=group)
    return sums_2N[0].log() - sums_2N[1] / sums_2N[0]
