"""From an objective to the loss of a micro-batch, as the engine takes it.

Shapes: N trained tokens of a micro-batch, S sequences.
"""

from __future__ import annotations

import torch

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.grpo import correction
from fleming_nemo.grpo.objectives import Objective
from fleming_nemo.parallel import groups
from fleming_nemo.training import engine
from fleming_nemo.training.engine import LossSum
from fleming_nemo.training.logprobs import Prediction, Sampling


def policy_loss(
    objective: Objective, distribution: Sampling, correct: str = "none", kl_beta: float = 0.0
) -> engine.Objective:
    """The negative objective, summed; the engine divides by the responses or the tokens of the global batch.

    Args:
        distribution: what the rollouts were sampled from.
        correct: "none", "token" or "sequence", see `correction`.
        kl_beta: weight of KL(policy || reference) by its k3 estimate, exp(d) - d - 1 with d = log ref - log pi; it
            asks for `MicroBatch.reference_BT`.

    Reported beside the loss, per response token: entropy, the mismatch of engine and trainer, share of clipped tokens
    where the batch is trained on more than once, and the divergence from the reference.
    """
    layout = groups.current()

    def loss(prediction: Prediction, batch: MicroBatch) -> LossSum:
        logp_N, entropy_N, sequence_N = prediction.of(batch, distribution)
        trained = batch.mask_BT.bool()
        # before the first update of a batch the policy is the old one, and nobody has to compute that twice
        old_N = logp_N.detach() if batch.old_BT is None else batch.old_BT[trained]
        mismatch_N = old_N - batch.rollout_BT[trained]
        log_ratio_N = objective.log_ratio(logp_N - old_N, batch, sequence_N)
        value_N = objective.gain(logp_N, log_ratio_N, batch.weight_S[sequence_N])
        weight_N = correction.weights(correct, mismatch_N, sequence_N, batch)
        if weight_N is not None:
            value_N = value_N * weight_N
        tokens = torch.tensor(float(logp_N.numel()), device=logp_N.device)
        sums = {"entropy": (entropy_N.sum(), tokens)}
        if batch.reference_BT is not None:
            toward_N = batch.reference_BT[trained] - logp_N
            kl_N = torch.expm1(toward_N) - toward_N
            value_N = value_N - kl_beta * kl_N
            sums["reference_kl"] = (kl_N.detach().sum(), tokens)
        if batch.old_BT is not None:
            ratio_N = log_ratio_N.detach().exp()
            outside_N = (ratio_N < 1 - objective.clip_low) | (ratio_N > 1 + objective.clip_high)
            sums["clipped"] = (outside_N.float().sum(), tokens)
        scaled_N = value_N * objective.token_weight(batch.length_S)[sequence_N]
        mismatch, maxima = correction.statistics(mismatch_N)
        return LossSum(
            total=-scaled_N.sum(),
            # a sequence is cut over the context-parallel ranks, but it is one sequence
            count=logp_N.numel() if objective.per_token else len(batch.weight_S) if layout.cp_rank == 0 else 0,
            sums=sums | mismatch,
            maxima=maxima,
        )

    return loss


def record(into: str, distribution: Sampling) -> engine.Objective:
    """Not a loss: keeps the log-probabilities under the present weights in `MicroBatch.<into>`, for `Engine.evaluate`.

    Batches are kept by the rank that trains on them, so nothing has to travel.
    """

    def keep(prediction: Prediction, batch: MicroBatch) -> LossSum:
        logp_N = prediction.of(batch, distribution).logp_N
        kept_BT = torch.zeros_like(batch.rollout_BT)
        kept_BT[batch.mask_BT.bool()] = logp_N
        setattr(batch, into, kept_BT)
        return LossSum(total=logp_N.sum(), count=logp_N.numel())

    return keep
