"""Cross entropy on the assistant's tokens, summed; divided by the number of such tokens of the whole global batch."""

from __future__ import annotations

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.training.engine import LossSum, Objective
from fleming_nemo.training.logprobs import Prediction, Sampling


def cross_entropy(num_tokens: int) -> Objective:
    """Objective of SFT for a tokenizer of `num_tokens` ids."""
    distribution = Sampling(temperature=1.0, num_tokens=num_tokens)

    def objective(prediction: Prediction, batch: MicroBatch) -> LossSum:
        logp_N = prediction.of(batch, distribution).logp_N
        return LossSum(total=-logp_N.sum(), count=logp_N.numel())

    return objective
