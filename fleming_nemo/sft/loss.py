"""Cross entropy on the assistant's tokens, summed; divided by the number of such tokens of the whole global batch."""

from __future__ import annotations

from torch import Tensor

from fleming_nemo.data.batch import MicroBatch
from fleming_nemo.parallel import groups
from fleming_nemo.training.engine import LossSum, Objective
from fleming_nemo.training.logprobs import Sampling, token_logprobs, trained_positions


def cross_entropy(num_tokens: int) -> Objective:
    """Objective of SFT for a tokenizer of `num_tokens` ids."""
    distribution = Sampling(temperature=1.0, num_tokens=num_tokens)
    tp_rank = groups.current().tp_rank

    def objective(logits_BTV: Tensor, batch: MicroBatch) -> LossSum:
        raw_NV, targets_N, _ = trained_positions(logits_BTV, batch)
        logp_N = token_logprobs(distribution.logits(raw_NV, tp_rank), targets_N)
        return LossSum(total=-logp_N.sum(), count=logp_N.numel())

    return objective
