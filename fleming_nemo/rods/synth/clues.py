"""Choose the findings that a question shows, and prove with them: unique, and every other option wrong.

What a shown finding proves, with D the disease asked about:

    present t   rules out as a diagnosis: every disease without t or a descendant of t
                refutes for good: those recorded as free of t, and those described by at least three findings
                that lack t where at least 80 % of the patients with D have it
    absent t    (recorded as absent in D) rules out and refutes diseases where at least 80 % have t

`choose` returns findings under which D is the only diagnosis left in the whole graph and all of `wrong` is refuted,
or None. Broader terms stand in for annotated ones now and then; the proof is done on the term as shown.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from fleming_nemo.rods.synth import bands
from fleming_nemo.rods.synth.facts import MIN_SHARE, STRONG_SHARE, Clue, Facts

MAX_CLUES = 9
_MIN_INFORMATION = 2.0
_MIN_INFORMATION_BROAD = 3.5
_LOOKED_AT = 8
_POOL = 40


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    clue: Clue
    rules_out: int
    refutes: int


class ClueFinder:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._pools: dict[int, list[_Candidate]] = {}
        self._banded: dict[int, list[Clue]] = {}
        # Bitsets by (term, whether its absence is telling): shared by all diseases, or they would fill the memory.
        self._bitsets: dict[tuple[int, bool], tuple[int, int]] = {}

    def pool(self, disease: int) -> list[_Candidate]:
        """Everything that may be shown about the disease, present findings first, each by node number."""
        if disease not in self._pools:
            self._pools[disease] = self._present(disease) + self._absent(disease)
        return self._pools[disease]

    def banded(self, disease: int) -> list[Clue]:
        """Findings of the disease whose frequency is known well enough to be asked by it."""
        if disease not in self._banded:
            self._banded[disease] = bands.candidates(self.facts, disease)
        return self._banded[disease]

    def provable(self, disease: int) -> bool:
        """Whether everything that is known about the disease tells it from all others."""
        left = self.facts.all_bits & ~(1 << self.facts.slot[disease])
        pool = self.pool(disease)
        for candidate in pool:
            left &= ~candidate.rules_out
        return not left and sum(c.clue.present for c in pool) >= 2

    def choose(
        self, disease: int, wrong: int, fewest: int, fits: Callable[[int], bool], rng: random.Random
    ) -> list[Clue] | None:
        """Clues that prove the disease and refute all of the bitset `wrong`; `fits` tells which terms may be shown."""
        everyone = self.facts.all_bits & ~(1 << self.facts.slot[disease])
        pool = _some(self.pool(disease), _POOL, rng)
        pool = [c for c in pool if fits(c.clue.term)]
        left, unrefuted = everyone, wrong
        for candidate in pool:
            left &= ~candidate.rules_out
            unrefuted &= ~candidate.refutes
        if left or unrefuted:
            return None
        left, unrefuted = everyone, wrong
        chosen: list[Clue] = []
        while pool and len(chosen) < MAX_CLUES:
            best = self._best(_some(pool, _LOOKED_AT, rng), left, unrefuted, wrong, not chosen)
            pool.remove(best)
            if any(self._overlap(best.clue.term, c.term) for c in chosen):
                continue
            if not best.clue.present and not (best.refutes & (left | unrefuted)):
                continue
            chosen.append(best.clue)
            left &= ~best.rules_out
            unrefuted &= ~best.refutes
            if not left and not unrefuted and len(chosen) >= fewest and any(c.present for c in chosen):
                return chosen
        return None

    def _best(self, looked_at: list[_Candidate], left: int, unrefuted: int, wrong: int, first: bool) -> _Candidate:
        """The first clue is one that the other options share; later ones leave the fewest diseases to be excluded."""
        if first:
            return max(looked_at, key=lambda c: (c.clue.present, (wrong & ~c.rules_out).bit_count()))
        return min(
            looked_at,
            key=lambda c: (left & ~c.rules_out).bit_count() + 3 * (unrefuted & ~c.refutes).bit_count(),
        )

    def _overlap(self, one: int, other: int) -> bool:
        return one in self.facts.ancestors(other) or other in self.facts.ancestors(one)

    def _present(self, disease: int) -> list[_Candidate]:
        facts = self.facts
        shown: dict[int, tuple[int, float]] = {}
        for own, (low, _) in sorted(facts.bounds.get(disease, {}).items()):
            if low < MIN_SHARE:
                continue
            for term in (own, *sorted(facts.ancestors(own) - {own})):
                least = _MIN_INFORMATION if term == own else _MIN_INFORMATION_BROAD
                if facts.information(term) >= least and (term not in shown or shown[term][1] < low):
                    shown[term] = own, low
        return [self._candidate(term, own, low) for term, (own, low) in sorted(shown.items())]

    def _candidate(self, term: int, own: int, low: float) -> _Candidate:
        facts, key = self.facts, (term, low >= STRONG_SHARE)
        if key not in self._bitsets:
            rules_out = facts.all_bits & ~facts.has[term]
            silent = facts.described & rules_out if key[1] else 0
            self._bitsets[key] = rules_out, silent | facts.absent(term)
        return _Candidate(Clue(term, own, True), *self._bitsets[key])

    def _absent(self, disease: int) -> list[_Candidate]:
        """Recorded negatives that tell the disease from some other."""
        facts, bit = self.facts, 1 << self.facts.slot[disease]
        found = []
        for term in sorted(facts.denied_of.get(disease, ())):
            bits = facts.strong.get(term, 0)
            if bits and facts.absent(term) & bit:
                found.append(_Candidate(Clue(term, term, False), bits, bits))
        return found


def _some(pool: list[_Candidate], size: int, rng: random.Random) -> list[_Candidate]:
    """At most `size` of the pool: a run of it, cyclic, from a random place, so that one draw is enough."""
    if len(pool) <= size:
        return list(pool)
    start = int(rng.random() * len(pool))
    return (pool[start:] + pool[:start])[:size]
