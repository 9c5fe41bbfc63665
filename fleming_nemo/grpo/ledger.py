"""The ledger: what each policy version made of each question, and the only source of mining decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fleming_nemo.reward.verify import Outcome
from fleming_nemo.rollout.episodes import Episode

KEPT_MININGS = 4
"""Newest mining rounds of which every entry is kept."""

MOST_TRAINING_ENTRIES = 200_000
"""Entries of single training steps above which they are added up."""

EARLIER = "earlier"
"""Policy of an entry that adds up policies of which no single entry is kept."""

Round = Literal["train", "mining"]


@dataclass(frozen=True)
class Entry:
    """Rollouts of one question under one policy version.

    Attributes:
        policy: name of the policy, for example "grpo_stage1/step_25".
        round: "train" or "mining".
    """

    item_id: str
    policy: str
    round: str
    rollouts: int
    correct: int
    truncated: int
    unparsable: int

    @property
    def pass_rate(self) -> float:
        return self.correct / self.rollouts


def entry(episodes: Sequence[Episode], policy: str, round_name: Round) -> Entry:
    """Count the episodes of one question."""
    outcomes = [e.verdict.outcome for e in episodes]
    return Entry(
        item_id=episodes[0].item.id,
        policy=policy,
        round=round_name,
        rollouts=len(outcomes),
        correct=outcomes.count(Outcome.CORRECT),
        truncated=outcomes.count(Outcome.TRUNCATED),
        unparsable=outcomes.count(Outcome.MALFORMED),
    )


class Ledger:
    """Entries in the order they were made, found by item without a search; saved in every checkpoint.

    What is kept of a long run: every entry of the newest `KEPT_MININGS` mining rounds and of the training steps since
    the newest of them.  Training steps before that (or beyond `MOST_TRAINING_ENTRIES`) are added up to one entry an
    item under the name of the first policy of their phase, which is the one that was mined; phases and mining rounds
    older than `KEPT_MININGS` to one entry an item under `EARLIER`.  So it holds at most 2 * KEPT_MININGS + 2 entries an
    item besides the current phase's, however long the run.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.entries: list[Entry] = []
        self._set([Entry(**row) for row in rows])

    def add(self, entries: Iterable[Entry]) -> None:
        """Append entries of one mining round, or of one training step; an item that a step drew twice has one."""
        for new in entries:
            self._append(new)
        if self._singles > MOST_TRAINING_ENTRIES:
            self._set(_add_up_phase(self.entries))

    def begin_phase(self) -> None:
        """Add up what a coming mining round makes old; called right before its entries are added."""
        entries = _add_up_phase(self.entries)
        for name in ("train", "mining"):
            policies = list(dict.fromkeys(e.policy for e in entries if e.round == name and e.policy != EARLIER))
            keep = KEPT_MININGS - 1 if name == "mining" else KEPT_MININGS
            entries = _merge(entries, name, dict.fromkeys(policies[: max(0, len(policies) - keep)], EARLIER))
        self._set(entries)

    def minings(self, item_id: str) -> list[Entry]:
        """Entries of an item's mining rounds, oldest first."""
        return self._minings.get(item_id, [])

    def last_pass_rate(self, item_id: str) -> float | None:
        """In the newest entry of an item, of whatever round; None for one that was never asked."""
        last = self._last.get(item_id)
        return None if last is None else self.entries[last].pass_rate

    def failures(self, item_id: str, wrong_at: float) -> int:
        """Mining rounds in which the item's pass rate was at most `wrong_at`; those before the newest count as one."""
        return sum(e.pass_rate <= wrong_at for e in self.minings(item_id))

    def never_right(self, item_id: str) -> bool:
        """Whether the item was mined and no rollout of any mining round was right."""
        minings = self.minings(item_id)
        return bool(minings) and not any(e.correct for e in minings)

    def rows(self) -> list[dict[str, Any]]:
        """Plain values, for a checkpoint or a file."""
        return [dict(vars(e)) for e in self.entries]

    def _set(self, entries: Iterable[Entry]) -> None:
        self.entries = []
        self._minings: dict[str, list[Entry]] = {}
        self._last: dict[str, int] = {}  # item -> place in entries
        self._phase: str | None = None  # first policy of the current phase's training steps
        self._singles = 0  # training entries of the current phase that were not added up
        for e in entries:
            self._append(e)

    def _append(self, new: Entry) -> None:
        last = self._last.get(new.item_id)
        before = None if last is None else self.entries[last]
        if last is not None and before is not None and (before.policy, before.round) == (new.policy, new.round):
            self.entries[last] = _sum(before, new)
            if new.round == "mining":
                self._minings[new.item_id][-1] = self.entries[last]
            return
        self._last[new.item_id] = len(self.entries)
        self.entries.append(new)
        if new.round == "mining":
            self._minings.setdefault(new.item_id, []).append(new)
            self._phase, self._singles = None, 0
        else:
            self._phase = self._phase or new.policy
            self._singles += new.policy != self._phase


def _add_up_phase(entries: list[Entry]) -> list[Entry]:
    """One training entry an item for the steps since the newest mining round; earlier phases were added up before."""
    start = 1 + max((n for n, e in enumerate(entries) if e.round == "mining"), default=-1)
    made: dict[str, Entry] = {}
    for e in entries[start:]:
        made[e.item_id] = _sum(made[e.item_id], e) if e.item_id in made else replace(e, policy=entries[start].policy)
    return [*entries[:start], *made.values()]


def _merge(entries: list[Entry], round_name: str, renamed: dict[str, str]) -> list[Entry]:
    """Entries of some policies under their new name, those of one item added up, before all others."""
    if not renamed:
        return entries
    old: dict[str, Entry] = {}
    rest = []
    for e in entries:
        if e.round == round_name and (e.policy in renamed or e.policy in renamed.values()):
            moved = replace(e, policy=renamed.get(e.policy, e.policy))
            old[e.item_id] = _sum(old[e.item_id], moved) if e.item_id in old else moved
        else:
            rest.append(e)
    return [*old.values(), *rest]


def _sum(a: Entry, b: Entry) -> Entry:
    counts = {n: getattr(a, n) + getattr(b, n) for n in ("rollouts", "correct", "truncated", "unparsable")}
    return replace(a, **counts)
