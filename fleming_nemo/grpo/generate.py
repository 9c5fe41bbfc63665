"""Rollouts of a step: drawn by the engine wave by wave and banked, or taken from the bank or another run's record.

A wave is what the engine decodes together.  Its questions are the same whether a run was killed or not, so that those
that were not banked yet are decoded in the same company as in a run that was never stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum.refill import Numbered
from fleming_nemo.parallel import groups
from fleming_nemo.rollout import bank
from fleming_nemo.rollout.bank import Bank, Groups
from fleming_nemo.rollout.episodes import Episode, Examiner
from fleming_nemo.rollout.types import Rollout, request_seed


class Generation:
    """Plays the questions of every step.

    Attributes:
        policy: lineage of the present weights; it belongs into the checkpoint.
        taken: groups of the present step, on all ranks, that came from the bank and not from the engine.
    """

    def __init__(self, cfg: RunConfig, examiner: Examiner) -> None:
        self.cfg, self.examiner = cfg, examiner
        layout = groups.current()
        self._writes = layout.tp_rank == layout.pp_rank == layout.cp_rank == 0
        self._bank = Bank(Path(cfg.run_dir) / bank.FOLDER)
        self._record = Bank(Path(cfg.rollout.replay) / bank.FOLDER) if cfg.rollout.replay else None
        self.policy = bank.lineage("", cfg.stage, cfg.model.weights)
        sampling = (cfg.rollout.temperature, cfg.rollout.max_response, cfg.grpo.rollouts_per_prompt)
        self._settings = json.dumps([cfg.seed, sampling, cfg.data.system_prompt])
        self.taken = 0
        self._found: Groups = {}

    def begin_step(self, step: int) -> None:
        """Look up what there is of a step (from 0) before any rank adds to it."""
        self._found = self._record.recorded(step) if self._record else self._bank.of_step(step, self._drawn_by())
        self.taken = 0
        groups.barrier()

    def play(self, step: int, numbered: Numbered) -> list[list[Episode]]:
        """One group of episodes for each of this rank's questions, in order."""
        asked = dict(numbered)
        known = {n: self._rollouts_of(step, n, item) for n, item in numbered if n in self._found}
        if self._record:
            self._refuse_missing(step, [n for n in asked if n not in known])
        episodes = {n: self.examiner.judge(asked[n], rollouts) for n, rollouts in known.items()}
        self.taken += sum(groups.gather_over_dp(len(known)))
        for wave in self._waves(numbered):
            missing = [n for n in wave if n not in episodes]
            if not missing:
                continue
            played = self.examiner.play(
                [(asked[n], self._seeds(step, n, asked[n])) for n in missing], self.cfg.rollout.temperature, step
            )
            episodes |= dict(zip(missing, played, strict=True))
            if self._writes:
                made = {n: (asked[n].id, [e.rollout for e in episodes[n]]) for n in missing}
                self._bank.add(step, self._drawn_by(), made)
        return [episodes[n] for n, _ in numbered]

    def trained(self, loss: float, grad_norm: float) -> None:
        """The weights have changed: what is drawn from now on is of another policy."""
        self.policy = bank.lineage(self.policy, loss, grad_norm)

    def saved(self, steps: int) -> None:
        """A checkpoint contains the first `steps` steps; their rollouts are never used again."""
        if groups.rank() == 0 and not self.cfg.rollout.keep:
            self._bank.forget(steps)

    def _drawn_by(self) -> str:
        return bank.lineage(self.policy, self._settings)

    def _seeds(self, step: int, number: int, item: QAItem) -> list[int]:
        cfg = self.cfg
        return [
            request_seed("train", cfg.seed, cfg.stage, step, number, item.id, k)
            for k in range(cfg.grpo.rollouts_per_prompt)
        ]

    def _waves(self, numbered: Numbered) -> list[list[int]]:
        """Questions decoded together, by similar length of their prompts, which wastes little padding."""
        by_length = [n for n, _ in sorted(numbered, key=lambda pair: (self.examiner.prompt_length(pair[1]), pair[0]))]
        size = max(1, self.cfg.rollout.decode_batch // self.cfg.grpo.rollouts_per_prompt)
        return [by_length[start : start + size] for start in range(0, len(by_length), size)]

    def _rollouts_of(self, step: int, number: int, item: QAItem) -> list[Rollout]:
        drawn_for, rollouts = self._found[number]
        if drawn_for != item.id or len(rollouts) != self.cfg.grpo.rollouts_per_prompt:
            raise UserError(
                f"question {number} of step {step + 1} was recorded as item {drawn_for} with {len(rollouts)} rollouts, "
                f"and this run asks item {item.id} with {self.cfg.grpo.rollouts_per_prompt}; replay with the data, "
                "seed and grpo options of the recorded run"
            )
        return rollouts

    def _refuse_missing(self, step: int, missing: list[int]) -> None:
        if missing:
            raise UserError(
                f"{self.cfg.rollout.replay} has no rollouts of question {missing[0]} of step {step + 1}; it was "
                "recorded with other options, or is damaged: record it again with rollout.record=keep"
            )
