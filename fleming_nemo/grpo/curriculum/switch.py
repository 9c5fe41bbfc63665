"""When stage 1 has taught what it can: the reward is flat, and most groups have become all right or all wrong.

The paper switches when performance plateaus, "signaled by the emergence of reward sparsity", and gives no numbers.
Both signs are measured at every step, also where `grpo.switch` does not act on them.
"""

from __future__ import annotations

import math
from typing import Any

DECAY = 0.9
"""Of the moving average of the share of zero-variance groups: about the last ten steps count."""

SPARSE_ABOVE = 0.5
"""Share of zero-variance groups, smoothed, above which the reward counts as sparse."""

WINDOW = 20
"""Steps whose rewards the slope is fitted to; there is no switch before so many."""

NOISE = 2.0
"""A slope of at most so many standard errors is no rise."""


class Switch:
    """Watches a stage; its state belongs into the checkpoint.

    Attributes:
        reached: first step (from 1) after which both signs held; None until then.
    """

    def __init__(self) -> None:
        self.reached: int | None = None
        self._sparsity = 0.0  # moving average before its correction for the start at 0
        self._seen = 0
        self._rewards: list[float] = []

    def measure(self, step: int, reward: float, zero_variance: float) -> dict[str, float]:
        """Take in one step (from 1); returns what metrics.jsonl shows of it.

        Args:
            reward, zero_variance: means over the questions as they were drawn, before any were replaced.
        """
        self._seen += 1
        self._sparsity = DECAY * self._sparsity + (1 - DECAY) * zero_variance
        self._rewards = [*self._rewards, reward][-WINDOW:]
        if self.reached is None and self.sparse and self.flat:
            self.reached = step
        row = {"zero_variance_ema": self.sparsity}
        if len(self._rewards) == WINDOW:
            slope, error = slope_of(self._rewards)
            row |= {"reward_slope": slope, "reward_slope_noise": NOISE * error}
        return row

    @property
    def sparsity(self) -> float:
        """Smoothed share of zero-variance groups."""
        return self._sparsity / (1 - DECAY**self._seen) if self._seen else 0.0

    @property
    def sparse(self) -> bool:
        return self.sparsity > SPARSE_ABOVE

    @property
    def flat(self) -> bool:
        """Whether the reward's rise over the window is within its noise; a fall counts as flat."""
        if len(self._rewards) < WINDOW:
            return False
        slope, error = slope_of(self._rewards)
        return slope <= NOISE * error

    def report(self, acts: bool) -> dict[str, Any]:
        """switch.json: the rule, where it stands, and whether it ends the stage (`acts`)."""
        rule = {"window": WINDOW, "sparse_above": SPARSE_ABOVE, "noise": NOISE, "decay": DECAY}
        known = len(self._rewards) == WINDOW
        slope, error = slope_of(self._rewards) if known else (None, None)
        return {
            "acts": acts,
            "reached": self.reached,
            "steps": self._seen,
            "zero_variance_ema": self.sparsity,
            "reward_slope": slope,
            "reward_slope_noise": None if error is None else NOISE * error,
            "rule": rule,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "reached": self.reached,
            "sparsity": self._sparsity,
            "seen": self._seen,
            "rewards": list(self._rewards),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reached, self._sparsity = state["reached"], float(state["sparsity"])
        self._seen, self._rewards = int(state["seen"]), [float(r) for r in state["rewards"]]


def slope_of(values: list[float]) -> tuple[float, float]:
    """Slope per step of the least-squares line through equidistant values (at least 3), and its standard error."""
    n = len(values)
    centre, mean = (n - 1) / 2, math.fsum(values) / n
    spread = math.fsum((i - centre) ** 2 for i in range(n))
    slope = math.fsum((i - centre) * (v - mean) for i, v in enumerate(values)) / spread
    rest = math.fsum((v - mean - slope * (i - centre)) ** 2 for i, v in enumerate(values))
    return slope, math.sqrt(rest / (n - 2) / spread)
