"""The ledger: what each policy version made of each question, and the only source of mining decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleming_nemo.reward.verify import Outcome
from fleming_nemo.rollout.episodes import Episode


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


def entry(episodes: Sequence[Episode], policy: str, round_name: str) -> Entry:
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
    """All entries in the order they were made; saved in every checkpoint."""

    def __init__(self, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.entries = [Entry(**row) for row in rows]

    def add(self, entries: Iterable[Entry]) -> None:
        self.entries.extend(entries)

    def rows(self) -> list[dict[str, Any]]:
        """Plain values, for a checkpoint or a file."""
        return [asdict(e) for e in self.entries]
