"""Difficulty of synthesised items: structure (hops, masking, options, disguise) corrected by what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fleming_nemo.data.items import DIFFICULTIES, QAItem
from fleming_nemo.rods.corpus.labels import LabelCheck
from fleming_nemo.rods.curated.difficulty import Thresholds
from fleming_nemo.rods.curated.votes import Votes

UNSURE = 0.6
"""At this pass rate of the solver and below an item is one tier harder than its structure says."""
_BY_STRUCTURE = (
    "Structure gives one point each for every relation beyond the first (at most 3), distractors that share half of "
    "the findings, 8 options or more, vague findings and disguised names: up to 1 point is easy, 2 or 3 moderate, more "
    "difficult."
)


def find_tiers(
    check: LabelCheck, items: Sequence[QAItem], votes: Mapping[str, Votes]
) -> tuple[list[str], dict[str, Any]]:
    """(tier of each item, section of the card).

    With a model's votes the pass rate decides, as in curated data; with the solver's it only corrects the structure,
    for a solver that has the graph finds easy what an examinee does not.
    """
    thresholds = Thresholds()
    found, table = [], {tier: Counter[str]() for tier in DIFFICULTIES}
    for item in items:
        tier = str(item.difficulty)
        vote = votes.get(item.id)
        if vote is not None and check.endpoint is not None:
            tier = thresholds.tier(vote.correct, vote.trials) or tier
        elif vote is not None and vote.correct <= UNSURE * vote.trials:
            tier = DIFFICULTIES[min(DIFFICULTIES.index(tier) + 1, len(DIFFICULTIES) - 1)]
        table[str(item.difficulty)][tier] += 1
        found.append(tier)
    if check.endpoint is not None:
        rule = (
            f"pass rate of at least {thresholds.easy_at} is easy, at most {thresholds.difficult_at} difficult, between "
            f"them moderate; an item without votes has the tier of its structure. {_BY_STRUCTURE}"
        )
    else:
        rule = f"{_BY_STRUCTURE} Where {check.by} is right in at most {UNSURE:.0%} of its trials, one tier harder."
    section = {
        "by": f"structure of the path and pass rate of {check.by}",
        "rule": rule,
        "structural_and_measured": {one: {to: table[one][to] for to in DIFFICULTIES} for one in DIFFICULTIES},
    }
    return found, section
