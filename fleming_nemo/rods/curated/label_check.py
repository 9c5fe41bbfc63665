"""Filter 2 of the paper: items that a strong model fails in every one of 5 trials have a doubtful label.

They go to a review file with all that was answered: a person decides, and the decisions come back as a file of
{id, decision: keep|drop}. An item whose trials could not be made goes there too: unchecked is not checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import LETTERS, QAItem
from fleming_nemo.rods.curated.filters import reject_item
from fleming_nemo.rods.curated.rejects import Refused, Reject
from fleming_nemo.rods.curated.votes import Votes, json_rows

TRIALS = 5


@dataclass
class Checked:
    """`review` rows hold the item, its votes and why it is there; `counts` say what became of all of them."""

    kept: list[QAItem] = field(default_factory=list)
    review: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def check_labels(
    items: Sequence[QAItem], votes: dict[str, Votes], trials: int = TRIALS, decisions: dict[str, str] | None = None
) -> Checked:
    """Split `items` by their votes. Every item is in exactly one of kept, review, rejects."""
    result = Checked()
    for item in items:
        found = votes.get(item.id, Votes(0, 0))
        decision = (decisions or {}).get(item.id)
        if found.correct:
            result.counts["right at least once"] += 1
            result.kept.append(item)
        elif decision == "keep":
            result.counts["kept by a reviewer"] += 1
            result.kept.append(item)
        elif decision == "drop":
            result.counts["dropped by a reviewer"] += 1
            result.rejects.append(reject_item(item, Refused("answer", "dropped by a reviewer")))
            result.refused.append((item.source, "dropped by a reviewer"))
        else:
            answered = found.trials - found.answers.count("refused")
            reason = (
                f"wrong in all {answered} trials" if answered >= trials else f"unchecked: {answered} of {trials} trials"
            )
            result.counts["wrong in all trials" if answered >= trials else "unchecked"] += 1
            result.review.append(_review_row(item, found, reason))
            result.refused.append((item.source, f"to review: {reason.split(chr(58))[0]}"))
    return result


def _review_row(item: QAItem, votes: Votes, reason: str) -> dict[str, Any]:
    said = Counter(a for a in votes.answers if a in LETTERS[: len(item.options)])
    majority = min(said, key=lambda letter: (-said[letter], letter)) if said else None
    return {
        "id": item.id,
        "reason": reason,
        "label": item.answer if isinstance(item.answer, str) else item.letter,
        "model_says": majority,
        "answers": list(votes.answers),
        "trials": votes.trials,
        "item": asdict(item),
    }


def read_decisions(path: Path) -> dict[str, str]:
    """Decisions of a reviewer by item id. UserError for anything but keep and drop, and for two that contradict."""
    decisions: dict[str, str] = {}
    for number, row in json_rows(path):
        identity, decision = row.get("id"), row.get("decision")
        if not isinstance(identity, str) or decision not in ("keep", "drop"):
            raise UserError(f"{path}, line {number}: expected {{id, decision: keep or drop}}, found {row!r}.")
        if decisions.setdefault(identity, decision) != decision:
            raise UserError(f"{path}, line {number}, field decision: {identity} was decided otherwise above.")
    return decisions
