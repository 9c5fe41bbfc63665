"""Log-probabilities and entropy of trained tokens, from hidden states, without the logits of the whole batch.

The vocabulary is cut over the tensor-parallel ranks, and the tokens into chunks: logits exist for one chunk at a time,
in the forward pass and again in the backward pass, which computes them anew.  Where all tokens are one chunk, it is
kept for the backward pass instead.

Shapes: B sequences, T positions, N trained positions of a micro-batch, n of a chunk, H hidden size, V columns of this
rank's part of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.parallel import groups

from megatron.core import tensor_parallel  # isort: skip

CHUNK_LOGITS = 2**26
"""Logits that exist at the same time: 256 MB in fp32, of which the computation holds a few copies."""


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
        """fp32 logits of the distribution; made in the place of the model's, of this rank's vocabulary columns."""
        logits_NV = raw_NV.float()
        if self.temperature != 1.0:
            logits_NV /= self.temperature
        used = max(0, self.num_tokens - logits_NV.size(-1) * tp_rank)
        logits_NV[:, used:] = -1e30  # finite: -inf minus -inf would be NaN
        return logits_NV


class TokenLogprobs(NamedTuple):
    """What the policy gave to the trained tokens of a micro-batch.

    Attributes:
        logp_N: log-probability of each, differentiable, equal on all tensor-parallel ranks.
        entropy_N: entropy in nats of the distribution it was drawn from; no gradient.
        sequence_N: which sequence of the micro-batch it belongs to.
    """

    logp_N: Tensor
    entropy_N: Tensor
    sequence_N: Tensor


@dataclass(frozen=True)
class Prediction:
    """What the network says about the next tokens of a micro-batch, before it is spelled out over the vocabulary.

    Attributes:
        hidden_BTH: last hidden states; T is cut over the tensor-parallel ranks where `sequence_parallel`.
        weight_VH: this rank's rows of the output layer.
    """

    hidden_BTH: Tensor
    weight_VH: Tensor
    sequence_parallel: bool = False

    def of(self, batch: MicroBatch, distribution: Sampling) -> TokenLogprobs:
        """Log-probabilities of the batch's targets at the positions with mask 1, and at no others."""
        at = batch.mask_BT.nonzero(as_tuple=True)
        hidden_NH = self._whole()[at]
        logp_N, entropy_N = spelled(hidden_NH, self.weight_VH, batch.targets_BT[at], distribution)
        return TokenLogprobs(logp_N, entropy_N, batch.sequence_BT[at])

    def _whole(self) -> Tensor:
        """The hidden states of all positions; backward sums what the vocabulary's parts say about them."""
        if self.sequence_parallel:
            whole_TBH = tensor_parallel.gather_from_sequence_parallel_region(self.hidden_BTH.transpose(0, 1))
            return whole_TBH.transpose(0, 1)
        return tensor_parallel.copy_to_tensor_model_parallel_region(self.hidden_BTH)


def spelled(hidden_NH: Tensor, weight_VH: Tensor, targets_N: Tensor, distribution: Sampling) -> tuple[Tensor, Tensor]:
    """Log-probability [N] of each target, differentiable, and entropy [N] in nats, without gradient."""
    return _Spelled.apply(hidden_NH, weight_VH, targets_N, distribution)


class _Spelled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, targets_N: Tensor, distribution: Sampling
    ) -> tuple[Tensor, Tensor]:
        layout = groups.current()
        norm_N, logp_N, entropy_N = hidden_NH.new_empty(3, len(targets_N), dtype=torch.float32)
        parts = list(_chunks(len(targets_N), len(weight_VH)))
        for part in parts:
            logits_nV = distribution.logits(hidden_NH[part] @ weight_VH.t(), layout.tp_rank)
            top_n = logits_nV.amax(-1)
            _reduce(top_n, torch.distributed.ReduceOp.MAX, layout)
            logits_nV -= top_n[:, None]
            row_n, column_n = _owned(targets_N[part], len(weight_VH), layout.tp_rank)
            sums_3n = torch.zeros(3, len(top_n), device=top_n.device)
            sums_3n[0, row_n] = logits_nV[row_n, column_n]
            exp_nV = logits_nV.exp()
            sums_3n[1] = exp_nV.sum(-1)
            sums_3n[2] = logits_nV.mul_(exp_nV).sum(-1)
            _reduce(sums_3n, torch.distributed.ReduceOp.SUM, layout)
            target_n, total_n, weighted_n = sums_3n
            log_total_n = total_n.log()
            logp_N[part] = target_n - log_total_n
            entropy_N[part] = log_total_n - weighted_n / total_n
            norm_N[part] = top_n + log_total_n
        kept = (exp_nV, total_n) if len(parts) == 1 else (None, None)
        ctx.save_for_backward(hidden_NH, weight_VH, targets_N, norm_N, *kept)
        ctx.distribution, ctx.tp_rank = distribution, layout.tp_rank
        ctx.mark_non_differentiable(entropy_N)
        return logp_N, entropy_N

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """d log p(y) / d logit_v = 1[v = y] - p(v), from what the forward pass kept or from logits made once more."""
        hidden_NH, weight_VH, targets_N, norm_N, exp_NV, total_N = ctx.saved_tensors
        grad_hidden_NH = torch.zeros_like(hidden_NH)
        parts = list(_chunks(len(targets_N), len(weight_VH)))
        # several bf16 sums added up in bf16 would lose digits that one matrix product keeps
        grad_weight_VH = torch.zeros_like(weight_VH, dtype=torch.float32 if len(parts) > 1 else weight_VH.dtype)
        for part in parts:
            grad_n = grad_N[part] / ctx.distribution.temperature
            if exp_NV is not None:
                grad_nV = exp_NV * (-grad_n / total_N)[:, None]
            else:
                logits_nV = ctx.distribution.logits(hidden_NH[part] @ weight_VH.t(), ctx.tp_rank)
                grad_nV = logits_nV.sub_(norm_N[part, None]).exp_().mul_(-grad_n[:, None])
            row_n, column_n = _owned(targets_N[part], len(weight_VH), ctx.tp_rank)
            grad_nV[row_n, column_n] += grad_n[row_n]
            grad_nV = grad_nV.to(hidden_NH.dtype)
            grad_hidden_NH[part] = grad_nV @ weight_VH
            grad_weight_VH += grad_nV.t() @ hidden_NH[part]
        return grad_hidden_NH, grad_weight_VH.to(weight_VH.dtype), None, None


def _chunks(count: int, columns: int) -> Iterator[slice]:
    size = max(1, CHUNK_LOGITS // columns)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _owned(targets_n: Tensor, columns: int, tp_rank: int) -> tuple[Tensor, Tensor]:
    """Rows whose target lies in this rank's columns, and which column it is."""
    column_n = targets_n - columns * tp_rank
    row_n = ((column_n >= 0) & (column_n < columns)).nonzero()[:, 0]
    return row_n, column_n[row_n]


def _reduce(x: Tensor, operation: Any, layout: groups.Layout) -> None:
    if layout.tp > 1:
        torch.distributed.all_reduce(x, operation, group=groups.tp_group())
