"""What there is of a step already: in the run's bank, if the same policy drew it, or in another run's record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo.curriculum.refill import Numbered
from fleming_nemo.parallel import groups
from fleming_nemo.rollout import bank
from fleming_nemo.rollout.bank import Bank, Groups
from fleming_nemo.rollout.types import Rollout

Drawn = dict[int, list[Rollout]]
"""Rollouts by the number of their question."""


class Kept:
    """Attributes:
    policy: lineage of the present weights.
    """

    def __init__(self, cfg: RunConfig) -> None:
        self.cfg = cfg
        self._bank = Bank(Path(cfg.run_dir) / bank.FOLDER)
        self._record = Bank(Path(cfg.rollout.replay) / bank.FOLDER) if cfg.rollout.replay else None
        self.policy = bank.lineage("", cfg.stage, cfg.model.weights)
        self._before = ""
        sampling = (cfg.rollout.engine, cfg.rollout.temperature, cfg.rollout.max_response, cfg.grpo.rollouts_per_prompt)
        self._settings = json.dumps([cfg.seed, sampling, cfg.data.system_prompt])
        self._found: Groups = {}

    def look_up(self, step: int) -> None:
        """Find what there is of a step (from 0)."""
        # what was drawn ahead began under the weights of one step before
        policies = [self.policy, self._before] if self.cfg.rollout.staleness else [self.policy]
        drawn_by = [self._drawn_by(policy) for policy in policies]
        self._found = self._record.recorded(step) if self._record else self._bank.of_step(step, *drawn_by)

    def known(self, step: int, numbered: Numbered) -> Drawn:
        """Of these questions, those that were found.

        Raises:
            UserError: what was found is of other questions, or a recorded run lacks one.
        """
        known = {}
        for number, item in numbered:
            if number in self._found:
                drawn_for, known[number] = self._found[number]
                self._check(step, number, item.id, drawn_for, len(known[number]))
            elif self._record:
                raise UserError(
                    f"{self.cfg.rollout.replay} has no rollouts of question {number} of step {step + 1}; it was "
                    "recorded with other options, or is damaged: record it again with rollout.record=keep"
                )
        return known

    def adder(self, step: int) -> Callable[[Mapping[int, tuple[str, list[Rollout]]]], None]:
        """What keeps groups of a step that the present policy draws, also when that is no longer the present one."""
        drawn_by = self._drawn_by(self.policy)
        return lambda made: self._bank.add(step, drawn_by, made)

    def trained(self, loss: float, grad_norm: float) -> None:
        """The weights have changed."""
        self._before, self.policy = self.policy, bank.lineage(self.policy, loss, grad_norm)

    def saved(self, steps: int) -> None:
        """A checkpoint contains the first `steps` steps."""
        if groups.rank() == 0 and not self.cfg.rollout.keep:
            self._bank.forget(steps)

    def state_dict(self) -> dict[str, Any]:
        return {"policy": self.policy, "policy_before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy, self._before = state["policy"], state.get("policy_before", "")

    def _drawn_by(self, policy: str) -> str:
        return bank.lineage(policy, self._settings)

    def _check(self, step: int, number: int, item: str, drawn_for: str, count: int) -> None:
        if drawn_for != item or count != self.cfg.grpo.rollouts_per_prompt:
            raise UserError(
                f"question {number} of step {step + 1} was recorded as item {drawn_for} with {count} rollouts, and "
                f"this run asks item {item} with {self.cfg.grpo.rollouts_per_prompt}; replay with data, seed and grpo "
                "options of the recorded run"
            )
