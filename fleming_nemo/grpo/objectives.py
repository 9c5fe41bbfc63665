"""The objectives: what of a response's log-probability is raised, and by how much.

Every class states its equation, to be maximised, in one notation: G responses o_1..o_G to a prompt with rewards R_i,
r_t = pi(o_t) / pi_old(o_t) the ratio of the policy to the one that the batch was drawn from, |o_i| the tokens of a
response.  `paper` is Fleming-R1's own; the others are presets with the settings of their publications.

Shapes: P prompts, G responses of each, N trained tokens of a micro-batch, S sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.grpo.sequences import sequence_sums


@dataclass(frozen=True)
class Objective:
    """What the objectives share; a subclass says how a token counts.

    Attributes:
        by_std: advantages are divided by the standard deviation of their group.
        per_token: the sum over the batch is divided by its tokens, not by its responses.
        uses_ratio: fit for several updates per batch, since it knows the policy that drew the batch.
        clip_low, clip_high: the ratio is clipped to [1 - clip_low, 1 + clip_high].
        dual_clip: where the advantage is negative, the objective never falls below this times it; 0 = off
            (arXiv 1912.09729).
    """

    by_std: ClassVar[bool] = True
    per_token: ClassVar[bool] = False
    uses_ratio: ClassVar[bool] = True
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0

    def advantages(self, reward_PG: np.ndarray) -> np.ndarray:
        """Rewards minus the mean of their group; divided by its standard deviation where the objective says so.

        The deviation is that of a sample (G - 1), plus 1e-4: TRL's definition. A group of equal rewards gives zeros.
        """
        centred_PG = reward_PG - reward_PG.mean(axis=1, keepdims=True)
        if not self.by_std:
            return centred_PG
        return centred_PG / (reward_PG.std(axis=1, ddof=1, keepdims=True) + 1e-4)

    def log_ratio(self, gap_N: Tensor, batch: MicroBatch, sequence_N: Tensor) -> Tensor:
        """log r of each token, from the difference of its log-probabilities under policy and old policy."""
        return gap_N

    def gain(self, logp_N: Tensor, log_ratio_N: Tensor, advantage_N: Tensor) -> Tensor:
        """What each token adds to the objective: the clipped surrogate min(r A, clip(r) A) of PPO."""
        ratio_N = log_ratio_N.exp()
        clipped_N = ratio_N.clamp(1 - self.clip_low, 1 + self.clip_high)
        gain_N = torch.minimum(ratio_N * advantage_N, clipped_N * advantage_N)
        if self.dual_clip:
            floor_N = self.dual_clip * advantage_N
            gain_N = torch.where(advantage_N < 0, torch.maximum(gain_N, floor_N), gain_N)
        return gain_N

    def token_weight(self, length_S: Tensor) -> Tensor:
        """Weight of the tokens of each response, by its number of tokens."""
        return torch.ones_like(length_S)


@dataclass(frozen=True)
class Paper(Objective):
    """Fleming-R1 (arXiv 2509.15279, equations 1-3).

        (1)  E_x [ (1/G) SUM_i log pi(o_i|x) A_i ]
        (2)  A_i = R_i - Rbar
        (3)  Rbar = (1/G) SUM_j R_j

    No standard deviation, ratio, clip, KL term or length normalisation: log pi(o|x) is a sum over the tokens of the
    response, and a group of equal rewards contributes zero but stays in the mean over prompts.  The samples come from
    the current policy, so one batch of rollouts is worth exactly one optimizer step.
    """

    by_std: ClassVar[bool] = False
    uses_ratio: ClassVar[bool] = False

    def gain(self, logp_N: Tensor, log_ratio_N: Tensor, advantage_N: Tensor) -> Tensor:
        return logp_N * advantage_N


@dataclass(frozen=True)
class GRPO(Objective):
    """Group relative policy optimisation (arXiv 2402.03300, equation 3; without the KL term, `grpo.kl_beta`).

    (1/G) SUM_i (1/|o_i|) SUM_t min(r_t A_i, clip(r_t, 1 - eps, 1 + eps) A_i),   A_i = (R_i - mean) / std,   eps 0.2
    """

    def token_weight(self, length_S: Tensor) -> Tensor:
        return 1 / length_S.clamp(min=1)


@dataclass(frozen=True)
class DrGRPO(Objective):
    """GRPO without its two biases (arXiv 2503.20783): neither 1/|o_i| nor the standard deviation.

    (1/G) SUM_i (1/L) SUM_t min(r_t A_i, clip(r_t) A_i),   A_i = R_i - mean,   L the longest response allowed
    """

    by_std: ClassVar[bool] = False
    max_response: int = 1

    def token_weight(self, length_S: Tensor) -> Tensor:
        return torch.full_like(length_S, 1 / self.max_response)


@dataclass(frozen=True)
class DAPO(Objective):
    """Clip-higher and a mean over tokens (arXiv 2503.14476, equation 8).

    (1 / SUM |o_i|) SUM_i SUM_t min(r_t A_i, clip(r_t, 1 - 0.2, 1 + 0.28) A_i),   A_i = (R_i - mean) / std
    """

    per_token: ClassVar[bool] = True
    clip_high: float = 0.28


@dataclass(frozen=True)
class GSPO(Objective):
    """One ratio for a whole response (arXiv 2507.18071, equations 5-7).

        (1/G) SUM_i min(s_i A_i, clip(s_i, 1 - 3e-4, 1 + 4e-4) A_i),   s_i = (pi(o_i) / pi_old(o_i))^(1/|o_i|)

    Every token carries the value of s_i and 1/|o_i| of its gradient, so that the sum over a response that is cut over
    the context-parallel ranks has the gradient of the equation on each of them.
    """

    clip_low: float = 3e-4
    clip_high: float = 4e-4

    def log_ratio(self, gap_N: Tensor, batch: MicroBatch, sequence_N: Tensor) -> Tensor:
        mean_S = sequence_sums(gap_N.detach(), sequence_N, batch) / batch.length_S.clamp(min=1)
        return mean_S[sequence_N] + gap_N - gap_N.detach()

    def token_weight(self, length_S: Tensor) -> Tensor:
        return 1 / length_S.clamp(min=1)


@dataclass(frozen=True)
class CISPO(Objective):
    """The ratio is a clipped weight without gradient: no token is ever left out (arXiv 2506.13585, equations 4-5).

    (1 / SUM |o_i|) SUM_i SUM_t stop_gradient(min(r_t, 5)) A_i log pi(o_t),   A_i = (R_i - mean) / std

    The paper tunes the upper bound alone and does not print it; 5 is what TRL and NeMo-RL ship.
    """

    per_token: ClassVar[bool] = True
    clip_low: float = 1.0
    clip_high: float = 4.0

    def gain(self, logp_N: Tensor, log_ratio_N: Tensor, advantage_N: Tensor) -> Tensor:
        weight_N = log_ratio_N.detach().exp().clamp(1 - self.clip_low, 1 + self.clip_high)
        return weight_N * advantage_N * logp_N


OBJECTIVES: dict[str, type[Objective]] = {
    "paper": Paper,
    "grpo": GRPO,
    "dr_grpo": DrGRPO,
    "dapo": DAPO,
    "gspo": GSPO,
    "cispo": CISPO,
}


def build(name: str, max_response: int, dual_clip: float = 0.0) -> Objective:
    """The preset of this name (`grpo.objective`)."""
    kind = OBJECTIVES[name]
    extra = {"max_response": max_response} if kind is DrGRPO else {}
    return kind(dual_clip=dual_clip, **extra)
