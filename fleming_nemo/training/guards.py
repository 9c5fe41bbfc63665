"""Which updates are not taken: gradients that are not finite, and spikes.

A decision depends on nothing but the losses and gradient norms of the run so far, which are the same on every rank: all
ranks take an update or none does, without asking each other, and a resumed run decides as the unbroken one.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from fleming_nemo.config.errors import UserError

WINDOW = 50
"""Accepted norms that the median is taken of."""

ENOUGH = 20
"""Accepted norms before which nothing counts as a spike: at first the norms fall quickly."""

PATIENCE = 10
"""Skipped updates in a row that end the run."""


@dataclass(frozen=True)
class Verdict:
    """What to do with one update.

    Attributes:
        skip: leave weights and optimizer as they are.
        report: one line that says why; empty for an update that is taken.
    """

    skip: bool
    report: str = ""


class GradientGuard:
    """Judges the updates of a run one after another.

    Args:
        skip_spikes: a gradient norm above this many times the median of the recent ones is a spike; 0 = no spikes, only
            what is not finite is skipped.
    """

    def __init__(self, skip_spikes: float) -> None:
        self.skip_spikes = skip_spikes
        self._accepted: list[float] = []
        self._judged = 0
        self._skipped_in_a_row = 0

    @property
    def threshold(self) -> float:
        """The largest norm that the next update may have."""
        if not self.skip_spikes or len(self._accepted) < ENOUGH:
            return math.inf
        return self.skip_spikes * statistics.median(self._accepted)

    def judge(self, grad_norm: float, loss: float) -> Verdict:
        """Decide about the next update; every update of a run is judged once, in order.

        Args:
            grad_norm: norm over all parameters, before clipping.
            loss: of the whole global batch.

        Raises:
            UserError: `PATIENCE` updates in a row were not good enough; the last of them is not to be taken either.
        """
        self._judged += 1
        threshold = self.threshold
        cause = _cause(grad_norm, loss, threshold)
        if not cause:
            self._skipped_in_a_row = 0
            if grad_norm > 0:  # a GRPO step whose groups all agree has none, and says nothing about the others
                self._accepted = [*self._accepted, grad_norm][-WINDOW:]
            return Verdict(skip=False)
        self._skipped_in_a_row += 1
        limit = f"{threshold:.4g}" if math.isfinite(threshold) else "none"
        report = (
            f"step {self._judged}: update skipped, {cause} "
            f"(gradient norm {grad_norm:.4g}, threshold {limit}, {self._skipped_in_a_row} in a row)"
        )
        if self._skipped_in_a_row >= PATIENCE:
            raise UserError(
                f"the last {PATIENCE} updates were skipped, and training does not recover by itself; {report}: look at "
                "the loss in metrics.jsonl before them, at the data or the rollouts of these steps, and start again "
                "from the last good checkpoint (model.weights=this run directory, another run_dir=...) with a lower "
                "optim.lr or a longer optim.warmup_steps"
            )
        return Verdict(skip=True, report=report)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decisions depend on, for the JSON part of a checkpoint; floats survive that exactly."""
        return {
            "accepted": list(self._accepted),
            "judged": self._judged,
            "skipped_in_a_row": self._skipped_in_a_row,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._accepted = [float(norm) for norm in state["accepted"]]
        self._judged = int(state["judged"])
        self._skipped_in_a_row = int(state["skipped_in_a_row"])


def _cause(grad_norm: float, loss: float, threshold: float) -> str:
    if not math.isfinite(grad_norm):
        return "the gradient is not finite"
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    return "a spike of the gradient norm" if grad_norm > threshold else ""
