"""Differential diagnosis by frequency: clues of the form 'at least 80 % of patients' and 'fewer than 30 %'.

Here a missing annotation decides nothing at all: every other option has a recorded frequency (or a recorded absence)
that contradicts the question.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from fleming_nemo.rods.synth.facts import Clue, Facts
from fleming_nemo.rods.synth.findings import MIN_SHARE, STRONG_SHARE

MAX_CLUES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Banded:
    clue: Clue
    contradicts: int
    """Diseases whose records rule the clue out, as a bitset."""


class BandFinder:
    def __init__(self, facts: Facts) -> None:
        self._facts, self._findings = facts, facts.findings
        self._pools: dict[int, list[Banded]] = {}
        self._unrefutable: dict[int, int] = {}

    def pool(self, disease: int) -> list[Banded]:
        """Findings of the disease whose recorded bounds lie in one of the bands whatever the source."""
        if disease not in self._pools:
            found = []
            for term, (low, high) in sorted(self._findings.bounds.get(disease, {}).items()):
                if self._findings.information(term) < 1:
                    continue
                if low >= STRONG_SHARE:
                    found.append(self._banded(term, "often"))
                elif low >= 0 and high < MIN_SHARE and self._findings.share(disease, term) < MIN_SHARE:
                    found.append(self._banded(term, "seldom"))
            self._pools[disease] = found
        return self._pools[disease]

    def unrefutable(self, disease: int) -> int:
        """Diseases whose records contradict no band of `disease`: they cannot be wrong options."""
        if disease not in self._unrefutable:
            bits = self._findings.everyone
            for banded in self.pool(disease):
                bits &= ~banded.contradicts
            self._unrefutable[disease] = bits
        return self._unrefutable[disease]

    def choose(
        self, disease: int, wrong: int, fewest: int, fits: Callable[[int], bool], rng: random.Random
    ) -> list[Clue] | None:
        """Clues about the disease that contradict every disease of the bitset `wrong`, or None."""
        order = [one for one in self.pool(disease) if one.contradicts & wrong]
        rng.shuffle(order)
        chosen: list[Clue] = []
        left = wrong
        while order and len(chosen) < MAX_CLUES and (left or len(chosen) < fewest):
            best = max(order, key=lambda one: (one.contradicts & left).bit_count()) if left else order[0]
            order.remove(best)
            if any(self._overlap(best.clue.term, c.term) for c in chosen) or not fits(best.clue.term):
                continue
            if not left or best.contradicts & left:
                chosen.append(best.clue)
                left &= ~best.contradicts
        return chosen if chosen and not left else None

    def _overlap(self, one: int, other: int) -> bool:
        return one in self._facts.ancestors(other) or other in self._facts.ancestors(one)

    def _banded(self, term: int, band: str) -> Banded:
        return Banded(Clue(term, term, True, band), self._findings.contradicting(term, band))
