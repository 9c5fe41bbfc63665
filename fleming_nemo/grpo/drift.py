"""The gate on drift between rollout engine and trainer: stop before a run that looks healthy learns from noise.

Published runs collapsed after hundreds of steps on a mismatch that nobody watched; it grows slowly and shows in the
divergence long before the reward falls.
"""

from __future__ import annotations

import sys
from typing import Any

from fleming_nemo.config.errors import UserError

PATIENCE = 3
FIRST_STEPS = 10
GROWTH = 5.0
WORTH_A_WARNING = 1e-3


class DriftGate:
    """Judges the mismatch of every step; its state belongs into the checkpoint.

    Args:
        limit: KL(rollout engine || trainer) per token, in nats, that may not be exceeded `PATIENCE` times in a row.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._level = 0.0
        self._seen = 0
        self._above = 0
        self._warned = False

    def judge(self, step: int, kl: float, largest: float, writer: bool) -> None:
        """Warn once when the mismatch has grown to five times what the first ten steps had.

        Raises:
            UserError: above the limit for the third step in a row.
        """
        if self._seen < FIRST_STEPS:
            self._level += (kl - self._level) / (self._seen + 1)
            self._seen += 1
        elif not self._warned and kl > max(GROWTH * self._level, WORTH_A_WARNING):
            self._warned = True
            if writer:
                text = f"warning: step {step}: the rollout engine drifts away from the trainer, KL {kl:.1e} per token "
                text += f"against {self._level:.1e} in the first steps; `fleming drift-check RUN` tells why"
                print(text, file=sys.stderr, flush=True)
        self._above = self._above + 1 if not kl <= self.limit else 0  # NaN counts as above
        if self._above >= PATIENCE:
            raise UserError(
                f"KL(rollout engine || trainer) is {kl:.2e} per token at step {step} (largest difference of a "
                f"log-probability {largest:.2f}), above grpo.max_mismatch = {self.limit:g} for {PATIENCE} steps: the "
                "engine does not sample from the policy that is trained. Check it with `fleming drift-check RUN`, and "
                "that both use the same precision, temperature and weights; raise the limit only if you know why"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"level": self._level, "seen": self._seen, "above": self._above, "warned": self._warned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._level, self._seen = state["level"], state["seen"]
        self._above, self._warned = state["above"], state["warned"]
