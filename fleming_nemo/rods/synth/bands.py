"""Differential diagnosis by frequency: clues of the form 'at least 80 % of patients' and 'fewer than 30 %'.

Here a missing annotation decides nothing at all: every other option has a recorded frequency (or a recorded absence)
that contradicts the question.
"""

import random

from fleming_nemo.rods.synth.facts import MIN_SHARE, STRONG_SHARE, Clue, Facts

MAX_CLUES = 6


def candidates(facts: Facts, disease: int) -> list[Clue]:
    """Findings of the disease whose recorded bounds lie in one of the bands whatever the source."""
    found = []
    for term, (low, high) in sorted(facts.bounds.get(disease, {}).items()):
        if facts.information(term) < 1:
            continue
        if low >= STRONG_SHARE:
            found.append(Clue(term, term, True, "often"))
        elif low >= 0 and high < MIN_SHARE and facts.share(disease, term) < MIN_SHARE:
            found.append(Clue(term, term, True, "seldom"))
    return found


def contradicts(facts: Facts, disease: int, clue: Clue) -> bool:
    """Whether the records of the disease rule the clue out."""
    low, high = facts.bounds.get(disease, {}).get(clue.term, (-1.0, 2.0))
    bit = 1 << facts.slot[disease]
    if clue.band == "seldom":
        return low >= MIN_SHARE
    if facts.absent(clue.term) & bit:
        return True
    return low >= 0 and high < STRONG_SHARE and not facts.strong.get(clue.term, 0) & bit


def choose(facts: Facts, pool: list[Clue], wrong: list[int], fewest: int, rng: random.Random) -> list[Clue] | None:
    """Clues out of `pool` that contradict every disease of `wrong`, or None."""
    against = {clue: {d for d in wrong if contradicts(facts, d, clue)} for clue in pool}
    order = [c for c in pool if against[c]]
    rng.shuffle(order)
    chosen: list[Clue] = []
    left = set(wrong)
    while order and len(chosen) < MAX_CLUES and (left or len(chosen) < fewest):
        best = max(order, key=lambda c: len(against[c] & left)) if left else order[0]
        order.remove(best)
        if any(best.term in facts.ancestors(c.term) or c.term in facts.ancestors(best.term) for c in chosen):
            continue
        if not left or against[best] & left:
            chosen.append(best)
            left -= against[best]
    return chosen if chosen and not left else None
