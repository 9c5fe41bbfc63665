"""Train/rollout mismatch: the rollout engine's log-probabilities are not the trainer's, and what is done about it.

With w = pi_old(token) / pi_engine(token), both of the weights that drew the batch, w would be 1 if engine and trainer
computed alike.  Truncated importance sampling weights each token with min(w, 2); the sequence mask drops a response
whose product of w leaves [1/3, 3] (TRL's default bound).  Both are constants to the gradient.

Shapes: N trained tokens of a micro-batch, S sequences.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.grpo.sequences import sequence_sums

TOKEN_CAP = 2.0
SEQUENCE_BOUND = 3.0
FAR = math.log(2)
"""A token counts as far off when engine and trainer differ by more than a factor of two."""


@torch.no_grad()
def weights(kind: str, gap_N: Tensor, sequence_N: Tensor, batch: MicroBatch) -> Tensor | None:
    """Weight [N] of every token, from log w; None where nothing is corrected (`kind` "none")."""
    if kind == "token":
        return gap_N.exp().clamp(max=TOKEN_CAP)
    if kind == "sequence":
        log_product_S = sequence_sums(gap_N, sequence_N, batch)
        return (log_product_S.abs() <= math.log(SEQUENCE_BOUND)).to(gap_N.dtype)[sequence_N]
    return None


@torch.no_grad()
def statistics(gap_N: Tensor) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """Sums and maxima to report: KL(engine || trainer) per token by its k3 estimate, share of tokens far off, largest.

    The tokens were drawn from the engine, so exp(log w) - log w - 1 averages to the divergence and is never negative.
    """
    tokens = torch.tensor(float(gap_N.numel()), device=gap_N.device)
    gap_N = gap_N.double()
    sums = {
        "mismatch_kl": ((torch.expm1(gap_N) - gap_N).sum(), tokens),
        "mismatch_far": ((gap_N.abs() > FAR).double().sum(), tokens),
    }
    return sums, {"mismatch_max": gap_N.abs().max() if gap_N.numel() else gap_N.sum()}
