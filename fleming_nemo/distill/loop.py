"""One item from drafts to a verdict: the paper's generation modes and the refinement of hard cases.

rationalise   one draft of a teacher that is given the answer.
passk         k drafts of a teacher that is not. Of those that are right and pass every filter the shortest one that is
              faithful is kept (ties: the lower trial), as length alone teaches nothing.

When no draft is accepted, at most `rounds` refinements follow: path exploration, self-correction and backtracking in an
order drawn from seed and item, backtracking never first. Each revises the last text, is told which filter objected, and
is verified against the ground truth before the next. A teacher that was not given the answer is not given it here.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters import first_fault
from fleming_nemo.distill.judges import Judgement
from fleming_nemo.distill.reading.entities import Entities, entities_of
from fleming_nemo.distill.teachers import REFINEMENTS, Ask, Attempt, Teacher
from fleming_nemo.rods.evidence import stable_hash

Judge = Callable[[Candidate], Awaitable[Judgement]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How chains are made. `k` counts the drafts of passk; `rounds` are refinements after no draft was accepted."""

    mode: str = "rationalise"
    k: int = 4
    rounds: int = 3
    seed: int = 1

    @property
    def told(self) -> bool:
        return self.mode == "rationalise"


@dataclass(slots=True)
class Examined:
    """An attempt and what became of it. `filter` is None for one that passes everything it was held against."""

    attempt: Attempt
    outcome: str
    filter: str | None
    reason: str | None
    judgement: Judgement | None = None
    accepted: bool = False

    def row(self) -> dict[str, Any]:
        """A line of attempts.jsonl. No time and no sign of the cache: a run that was killed writes the same bytes."""
        attempt = asdict(self.attempt)
        digest = hashlib.sha256(self.attempt.text.encode("utf-8", "surrogatepass")).hexdigest()
        verdict = {"verdict": self.outcome, "filter": self.filter, "reason": self.reason, "accepted": self.accepted}
        judge = {"judge": asdict(self.judgement) if self.judgement else None}
        return (
            {key: attempt.pop(key) for key in ("mode", "round", "trial")}
            | verdict
            | judge
            | attempt
            | {"sha256": digest}
        )


async def distil(item: QAItem, teacher: Teacher, plan: Plan, judge: Judge | None) -> list[Examined]:
    """Everything that was tried, in order; at most one attempt is accepted. No `judge`: faithfulness is not asked."""
    if len(item.options) < 2:
        nothing = Attempt(plan.mode, 0, 0, "", fault="no options")
        return [Examined(nothing, "none", "answer", "an item without options has no letter to verify")]
    known = entities_of(item)
    drafts = [Ask("rationalise", told=True)] if plan.told else [Ask("solve", trial) for trial in range(plan.k)]
    attempts = await asyncio.gather(*(teacher.reason(item, ask) for ask in drafts))
    tried = [examine(item, attempt, known) for attempt in attempts]
    for one in sorted((t for t in tried if t.filter is None), key=lambda t: (len(t.attempt.text), t.attempt.trial)):
        if await _faithful(item, one, known, judge):
            return tried
    return tried + await _refine(item, teacher, plan, judge, known, tried)


async def _refine(
    item: QAItem, teacher: Teacher, plan: Plan, judge: Judge | None, known: Entities, tried: list[Examined]
) -> list[Examined]:
    refined: list[Examined] = []
    spoken = [one for one in tried if one.attempt.text]
    for number, mode in enumerate(_order(plan, item)[: plan.rounds], 1):
        if not spoken:
            break
        last = spoken[-1]
        ask = Ask(mode, last.attempt.trial, number, plan.told, last.attempt, last.filter or "answer")
        one = examine(item, await teacher.reason(item, ask), known)
        refined.append(one)
        if one.filter is None and await _faithful(item, one, known, judge):
            break
        if one.attempt.text:
            spoken.append(one)
    return refined


def _order(plan: Plan, item: QAItem) -> list[str]:
    rng = random.Random(stable_hash("refine", plan.seed, item.id))
    order: list[str] = []
    while len(order) < plan.rounds:
        turn = rng.sample(REFINEMENTS, len(REFINEMENTS))
        if not order and turn[0] == "backtrack":
            turn = turn[1:] + turn[:1]
        order += turn
    return order


def examine(item: QAItem, attempt: Attempt, known: Entities | None = None) -> Examined:
    """Hold an attempt against every filter but faithfulness."""
    if attempt.fault is not None:
        return Examined(attempt, "none", "endpoint", attempt.fault)
    candidate = Candidate(item, attempt.text, attempt.finished, known)
    name, reason = first_fault(candidate) or (None, None)
    return Examined(attempt, candidate.verdict.outcome.value, name, reason)


async def _faithful(item: QAItem, one: Examined, known: Entities, judge: Judge | None) -> bool:
    """Marks the attempt as accepted, or as unfaithful."""
    if judge is not None:
        one.judgement = await judge(Candidate(item, one.attempt.text, one.attempt.finished, known))
        if one.judgement.reason is not None:
            one.filter, one.reason = "faithfulness", one.judgement.reason
            return False
    one.accepted = True
    return True
