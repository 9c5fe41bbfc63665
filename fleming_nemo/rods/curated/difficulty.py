"""Easy, Moderate, Difficult: from measured pass rates, or from a model's label with the paper's definitions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import DIFFICULTIES, LETTERS, QAItem
from fleming_nemo.endpoint import EndpointForm, Panel
from fleming_nemo.rods.curated.asking import ask_texts
from fleming_nemo.rods.curated.votes import json_rows, ledger_counts

_LABEL = re.compile(r"<difficulty>\s*(easy|moderate|difficult)\s*</difficulty>", re.IGNORECASE)
# The three tiers as the paper words them (section 3.1).
_PROMPT = """How difficult is this medical question? Choose one:
easy: basic knowledge that practitioners commonly have
moderate: detailed understanding or intermediate clinical reasoning
difficult: advanced or specialised knowledge, complex inference over several steps, or rare conditions
End with <difficulty>easy</difficulty>, <difficulty>moderate</difficulty> or <difficulty>difficult</difficulty>.
"""


@dataclass(frozen=True)
class Thresholds:
    """Pass rates that part the tiers.

    With a 0/1 reward a group of rollouts at pass rate p carries a signal of p(1 - p). Between 0.2 and 0.8 that is at
    least 64 % of its maximum, so what is Moderate here is what a first stage learns from; above, nearly every rollout
    is right, below, nearly every one is wrong. Fewer than 4 rollouts cannot tell 0.2 from 0.5: then there is no tier.
    """

    easy_at: float = 0.8
    difficult_at: float = 0.2
    min_rollouts: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.difficult_at < self.easy_at <= 1 or self.min_rollouts < 1:
            raise UserError(
                f"difficulty: expected 0 <= difficult_at < easy_at <= 1 and min_rollouts >= 1, found {self}."
            )

    def tier(self, correct: int, rollouts: int) -> str | None:
        if rollouts < self.min_rollouts:
            return None
        rate = correct / rollouts
        return "easy" if rate >= self.easy_at else "difficult" if rate <= self.difficult_at else "moderate"


def tiers_from_ledger(path: Path, thresholds: Thresholds, policy: str = "") -> dict[str, str]:
    """Tier by item id from ledger rows (JSON Lines or a JSON list); rows of the same item add up.

    Raises UserError when rows of several policies are there and none is named: pass rates of a weak and a strong policy
    are no sum.
    """
    counts: dict[str, list[int]] = {}
    policies: Counter[str] = Counter()
    for number, row in json_rows(path):
        at = f"{path}, line {number}"
        for name in ("item_id", "policy", "rollouts", "correct"):
            if name not in row:
                raise UserError(f"{at}, field {name}: missing; expected rows of the ledger.")
        rollouts, correct = ledger_counts(row, at)
        policies[str(row["policy"])] += 1
        if policy in ("", row["policy"]):
            total = counts.setdefault(str(row["item_id"]), [0, 0])
            total[0] += correct
            total[1] += rollouts
    if (not policy and len(policies) > 1) or (policy and policy not in policies):
        raise UserError(f"{path}: entries of {', '.join(sorted(policies))}; name one of these as `policy`.")
    found = {identity: thresholds.tier(*total) for identity, total in counts.items()}
    return {identity: tier for identity, tier in found.items() if tier}


def tiers_from_model(items: Sequence[QAItem], endpoint: EndpointForm, folder: Path) -> dict[str, str]:
    """Tier by item id as the model labels it; an item whose label cannot be read is left out. Answers in `folder`."""
    panel = Panel("difficulty", len(items))
    texts = ask_texts(endpoint, ((difficulty_prompt(item), 0) for item in items), folder, panel)
    found = {item.id: parse_tier(text) for item, text in zip(items, texts, strict=True)}
    return {identity: tier for identity, tier in found.items() if tier}


def difficulty_prompt(item: QAItem) -> str:
    """With the right answer marked: what is rated is the way to it, not whether the rater finds it."""
    lines = [f"{letter}) {text}" for letter, text in zip(LETTERS, item.options, strict=False)]
    answer = item.answer if isinstance(item.answer, str) else item.letter
    return "\n".join(
        [_PROMPT, *([item.context] if item.context else []), item.question, *lines, f"Right answer: {answer}"]
    )


def parse_tier(text: str | None) -> str | None:
    said = {label.lower() for label in _LABEL.findall((text or "").rpartition("</think>")[2])}
    return said.pop() if len(said) == 1 else None


def set_difficulty(items: Sequence[QAItem], tiers: dict[str, str]) -> tuple[list[QAItem], dict[str, int]]:
    """Items with their tier (an earlier one stays where none was found), and how many have which."""
    labelled = [replace(item, difficulty=tiers.get(item.id, item.difficulty)) for item in items]
    counts = Counter(item.difficulty or "none" for item in labelled)
    return labelled, {tier: counts[tier] for tier in (*DIFFICULTIES, "none") if counts[tier]}
