"""The objective of Fleming-R1 as the paper prints it (arXiv 2509.15279, equations 1-3).

    (1)  L = -E_{x ~ D, {y_i}_{i=1..k} ~ pi_theta(.|x)} [ (1/k) SUM_i log pi_theta(y_i|x) A(x, y_i) ]
    (2)  A(x, y_i) = r(x, y_i) - rbar_G(x)
    (3)  rbar_G(x) = (1/k) SUM_j r(x, y_j)

No standard deviation, importance ratio, clip, KL term or length normalisation: log pi(y|x) is a sum over the tokens of
the response, and a group without reward variance contributes zero but stays in the mean over prompts.  The samples come
from the current policy, so one batch of rollouts is worth exactly one optimizer step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.data.batch import MicroBatch
from fleming_nemo.parallel import groups
from fleming_nemo.training.engine import LossSum, Objective
from fleming_nemo.training.logprobs import Sampling, entropy, token_logprobs, trained_positions


def advantages(reward_PG: np.ndarray) -> np.ndarray:
    """Equations 2 and 3: rewards [P prompts, G rollouts of each] minus the mean of their group."""
    return reward_PG - reward_PG.mean(axis=1, keepdims=True)


def paper(temperature: float, num_tokens: int) -> Objective:
    """Equation 1 for rollouts sampled at `temperature` from a tokenizer of `num_tokens` ids.

    The engine divides by the number of sequences of the global batch, P * k: the mean over prompts of (1/k) SUM_i.
    Reported beside the loss, per response token: entropy, and the distance of the trainer's log-probabilities from
    those that the rollout engine recorded (k3 estimate of the KL divergence, and the largest difference).
    """
    distribution = Sampling(temperature, num_tokens)
    layout = groups.current()

    def objective(logits_BTV: Tensor, batch: MicroBatch) -> LossSum:
        raw_NV, targets_N, sequence_N = trained_positions(logits_BTV, batch)
        logits_NV = distribution.logits(raw_NV, layout.tp_rank)
        entropy_N = entropy(logits_NV)
        logp_N = token_logprobs(logits_NV, targets_N)
        total = -(logp_N * batch.weight_S[sequence_N]).sum()
        gap_N = (logp_N.detach() - batch.reference_BT[batch.mask_BT.bool()]).double()
        tokens = torch.tensor(float(logp_N.numel()), device=logp_N.device)
        return LossSum(
            total=total,
            # a sequence is cut over the context-parallel ranks, but it is one sequence
            count=len(batch.weight_S) if layout.cp_rank == 0 else 0,
            sums={
                "entropy": (entropy_N.sum(), tokens),
                "mismatch_kl": ((torch.expm1(gap_N) - gap_N).sum(), tokens),
            },
            maxima={"mismatch_max": gap_N.abs().max() if gap_N.numel() else gap_N.sum()},
        )

    return objective
