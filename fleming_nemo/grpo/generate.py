"""Rollouts of a step: drawn by the engine and banked as they come, or taken from the bank or another run's record.

The trainer itself decodes waves.  The questions of a wave are the same whether a run was killed or not, so that those
that were not banked yet are decoded in the same company as in a run that was never stopped.  Servers get all questions
of a step at once and finish them in any order; with `rollout.staleness=1` they get them one step ahead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.grpo.curriculum.refill import Numbered
from fleming_nemo.grpo.kept import Drawn, Kept
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.backend import Group
from fleming_nemo.rollout.engines import Rollouts
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.rollout.local import without_engine
from fleming_nemo.rollout.remote import Drawing
from fleming_nemo.rollout.types import Request, Rollout, request_seed
from fleming_nemo.training.phases import Phases


@dataclass
class _Batch:
    """Questions of this rank that servers are answering.

    Attributes:
        known: what the bank had.
        asked: numbers of the others.
    """

    step: int
    known: Drawn
    asked: list[int]
    drawing: Drawing


class Generation:
    """Plays the questions of every step.

    Attributes:
        taken: groups of the present step, on all ranks, that came from the bank and not from the engine.
        hidden: share of the seconds of generation in which the trainer did something else; None where nothing was
            drawn ahead.
    """

    def __init__(self, cfg: RunConfig, rollouts: Rollouts, chat: ChatTokenizer) -> None:
        self.cfg = cfg
        self.examiner = without_engine(cfg, chat) if cfg.rollout.replay else rollouts.examiner()
        self._remote = None if cfg.rollout.replay else rollouts.remote
        layout = groups.current()
        self._writes = layout.tp_rank == layout.pp_rank == layout.cp_rank == 0
        self._kept = Kept(cfg)
        self.taken = 0
        self.hidden: float | None = None
        self._ahead: _Batch | None = None

    def begin_step(self, step: int, phases: Phases) -> None:
        """Give the engine the present weights; look up what there is of a step (from 0) before any rank adds to it."""
        if self._remote is not None:
            with phases("transfer"):
                self._remote.refresh(step)
        self.taken, self.hidden = 0, None
        if self._ahead is None:
            self._kept.look_up(step)
            groups.barrier()

    def play(self, step: int, numbered: Numbered) -> list[list[Episode]]:
        """One group of episodes for each of this rank's questions, in order."""
        if self._remote is None:
            drawn = self._kept.known(step, numbered)
            self.taken += sum(groups.gather_over_dp(len(drawn)))
            self._draw_waves(step, numbered, drawn)
        else:
            batch, self._ahead = self._ahead or self._begin(step, numbered), None
            assert batch.step == step and {*batch.known, *batch.asked} == {n for n, _ in numbered}
            self.taken += sum(groups.gather_over_dp(len(batch.known)))
            drawn = batch.known | self._finish(batch)
        return [self.examiner.judge(item, drawn[n]) for n, item in numbered]

    def begin_ahead(self, step: int, items: Sequence[QAItem]) -> None:
        """Have servers draw all of a coming step's questions while this one is trained on."""
        layout = groups.current()
        self._kept.look_up(step)
        self._ahead = self._begin(step, list(enumerate(items))[layout.dp_rank :: layout.dp])

    def rest(self, phases: Phases) -> None:
        """Nothing is drawn while the step is trained on: servers on the same GPUs make room."""
        if self._remote is not None:
            with phases("transfer"):
                self._remote.rest()

    def abandon(self) -> None:
        """There is no coming step."""
        if self._ahead is not None and self._remote is not None:
            self._remote.abandon(self._ahead.drawing)
        self._ahead = None

    def trained(self, loss: float, grad_norm: float) -> None:
        """The weights have changed: what is drawn from now on is of another policy."""
        self._kept.trained(loss, grad_norm)

    def saved(self, steps: int) -> None:
        """A checkpoint contains the first `steps` steps; their rollouts are never used again."""
        self._kept.saved(steps)

    def state_dict(self) -> dict[str, Any]:
        """For the JSON part of a checkpoint."""
        return self._kept.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._kept.load_state_dict(state)

    def _requests(self, step: int, number: int, item: QAItem) -> list[Request]:
        cfg, prompt = self.cfg, self.examiner.prompt(item)
        return [
            Request(prompt, request_seed("train", cfg.seed, cfg.stage, step, number, item.id, k))
            for k in range(cfg.grpo.rollouts_per_prompt)
        ]

    def _draw_waves(self, step: int, numbered: Numbered, drawn: Drawn) -> None:
        """Add what is missing, wave by wave."""
        rollout, asked = self.cfg.rollout, dict(numbered)
        for wave in self._waves(numbered):
            requests = {n: self._requests(step, n, asked[n]) for n in wave if n not in drawn}
            if not requests:
                continue
            flat = [request for group in requests.values() for request in group]
            found = iter(self.examiner.engine.generate(flat, rollout.temperature, rollout.max_response, step))
            made = {n: [next(found) for _ in group] for n, group in requests.items()}
            drawn |= made
            if self._writes:
                kept = {n: (asked[n].id, group) for n, group in made.items()}
                self._kept.adder(step)(kept)

    def _waves(self, numbered: Numbered) -> list[list[int]]:
        """Questions decoded together, by similar length of their prompts, which wastes little padding."""
        by_length = [n for n, _ in sorted(numbered, key=lambda pair: (self.examiner.prompt_length(pair[1]), pair[0]))]
        size = max(1, self.cfg.rollout.decode_batch // self.cfg.grpo.rollouts_per_prompt)
        return [by_length[start : start + size] for start in range(0, len(by_length), size)]

    def _begin(self, step: int, numbered: Numbered) -> _Batch:
        assert self._remote is not None
        known = self._kept.known(step, numbered)
        wanted = [Group(n, item.id, self._requests(step, n, item)) for n, item in numbered if n not in known]
        add, rollout = self._kept.adder(step), self.cfg.rollout

        def keep(group: Group, rollouts: list[Rollout]) -> None:
            add({group.number: (group.item, rollouts)})

        drawing = self._remote.begin(wanted, rollout.temperature, rollout.max_response, keep)
        return _Batch(step, known, [group.number for group in wanted], drawing)

    def _finish(self, batch: _Batch) -> Drawn:
        assert self._remote is not None
        began = time.monotonic()
        rollouts = self._remote.finish(batch.drawing)
        waited, seconds = time.monotonic() - began, self._remote.seconds
        if self.cfg.rollout.staleness:
            self.hidden = max(0.0, 1 - waited / seconds) if seconds else 1.0
        return dict(zip(batch.asked, rollouts, strict=True))
