"""Questions and ledger entries for tests of the curriculum."""

from collections.abc import Iterable

from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.ledger import Entry
from fleming_nemo.reward.verify import Outcome, Verdict
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.rollout.types import Rollout


def question(name: str, difficulty: str | None = "easy") -> QAItem:
    return QAItem(name, "Which?", ("a", "b"), 0, None, "kg", "en", "train", difficulty, {})


def questions(name: str, count: int, difficulty: str | None = None) -> list[QAItem]:
    return [question(f"{name}{n}", difficulty) for n in range(count)]


def mined(name: str, correct: int, rollouts: int = 8, policy: str = "runs/sft") -> Entry:
    return Entry(name, policy, "mining", rollouts, correct, truncated=0, unparsable=0)


def trained(name: str, correct: int, step: int, rollouts: int = 8) -> Entry:
    return Entry(name, f"grpo_stage2/step_{step}", "train", rollouts, correct, truncated=0, unparsable=0)


def group(item: QAItem, right: Iterable[bool]) -> list[Episode]:
    """Judged responses without tokens."""
    rollout = Rollout([1], None, True, 0, 0)  # type: ignore[arg-type]
    outcomes = [Outcome.CORRECT if r else Outcome.WRONG for r in right]
    return [Episode(item, (1,), rollout, "", Verdict(o, None, "")) for o in outcomes]
