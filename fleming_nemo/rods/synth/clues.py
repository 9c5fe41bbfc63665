"""Choose the findings that a question shows, and prove with them: unique, and every other option wrong.

This is inference under partial information: some of what is recorded about the disease D is shown, the rest is masked,
and what is shown has to decide. What a shown finding proves:

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

from fleming_nemo.rods.synth.facts import Clue, Facts
from fleming_nemo.rods.synth.findings import MIN_SHARE, STRONG_SHARE

MAX_CLUES = 9
_MIN_INFORMATION = 2.0
_MIN_INFORMATION_BROAD = 3.5
_LOOKED_AT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    clue: Clue
    fits: int
    """Diseases that the clue leaves possible."""
    refutes: int


class ClueFinder:
    def __init__(self, facts: Facts) -> None:
        self.facts, self.findings = facts, facts.findings
        self._pools: dict[int, list[Candidate]] = {}
        self._unrefutable: dict[int, int] = {}
        # Bitsets by (term, whether its absence is telling): shared by all diseases, or they would fill the memory.
        self._refutes: dict[tuple[int, bool], int] = {}
        self._without: dict[int, int] = {}

    def pool(self, disease: int) -> list[Candidate]:
        """Everything that may be shown about the disease, in an order that is random but always the same."""
        if disease not in self._pools:
            pool = self._present(disease) + self._absent(disease)
            random.Random(disease).shuffle(pool)
            self._pools[disease] = pool
        return self._pools[disease]

    def unrefutable(self, disease: int) -> int:
        """Diseases that no clue about `disease` refutes: neither they nor what they lead to can be wrong options."""
        if disease not in self._unrefutable:
            bits = self.findings.everyone
            for candidate in self.pool(disease):
                bits &= ~candidate.refutes
            self._unrefutable[disease] = bits
        return self._unrefutable[disease]

    def provable(self, disease: int, speakable: Callable[[int], bool]) -> bool:
        """Whether everything that may be shown about the disease tells it from all others."""
        findings, left, present = self.findings, self.findings.everyone, 0
        for own, (low, _) in findings.bounds.get(disease, {}).items():
            if low < MIN_SHARE or findings.information(own) < _MIN_INFORMATION:
                continue
            # A broader term fits whatever the annotated one fits: it counts only where the latter cannot be said.
            if speakable(own):
                terms = [own]
            else:
                wider = self.facts.ancestors(own) - {own}
                terms = [t for t in wider if findings.information(t) >= _MIN_INFORMATION_BROAD and speakable(t)]
            for term in terms:
                left &= findings.has[term]
            present += len(terms)
        for term in self._telling_absences(disease) if present >= 2 else ():
            if speakable(term):
                left &= self._fits_without(term)
        return present >= 2 and left == findings.bit(disease)

    def choose(
        self, disease: int, wrong: int, fewest: int, fits: Callable[[int], bool], rng: random.Random
    ) -> list[Clue] | None:
        """Clues that prove the disease and refute all of the bitset `wrong`; `fits` tells which terms may be shown.

        The first clue is one that the other options share; later ones leave the fewest diseases to be excluded.
        """
        left, unrefuted = self.findings.everyone & ~self.findings.bit(disease), wrong
        pool, chosen = list(self.pool(disease)), list[Clue]()
        while pool and len(chosen) < MAX_CLUES:
            looked_at = _some(pool, _LOOKED_AT, rng)
            if not chosen:
                looked_at = sorted(looked_at, key=lambda c: (not c.clue.present, -(wrong & c.fits).bit_count()))
            elif left or unrefuted:
                looked_at = sorted(looked_at, key=lambda c: _leaves(c, left, unrefuted))
            for best in looked_at:
                pool.remove(best)
                if self._usable(best, left | unrefuted, chosen) and fits(best.clue.term):
                    chosen.append(best.clue)
                    left &= best.fits
                    unrefuted &= ~best.refutes
                    break
            if not left and not unrefuted and len(chosen) >= fewest and any(c.present for c in chosen):
                return chosen
        return None

    def _usable(self, candidate: Candidate, undecided: int, chosen: list[Clue]) -> bool:
        """Whether the clue adds to those chosen: an absence has to decide something, and no term lies above another."""
        term = candidate.clue.term
        if not candidate.clue.present and not candidate.refutes & undecided:
            return False
        above = self.facts.ancestors(term)
        return not any(c.term in above or term in self.facts.ancestors(c.term) for c in chosen)

    def _present(self, disease: int) -> list[Candidate]:
        """Frequent findings of the disease, and broader terms that still say something."""
        findings, ancestors = self.findings, self.facts.ancestors
        shown: dict[int, tuple[int, float]] = {}
        for own, (low, _) in sorted(findings.bounds.get(disease, {}).items()):
            if low < MIN_SHARE:
                continue
            for term in (own, *sorted(ancestors(own) - {own})):
                least = _MIN_INFORMATION if term == own else _MIN_INFORMATION_BROAD
                if findings.information(term) >= least and (term not in shown or shown[term][1] < low):
                    shown[term] = own, low
        return [
            Candidate(Clue(term, own, True), findings.has[term], self._refuted_by(term, low >= STRONG_SHARE))
            for term, (own, low) in sorted(shown.items())
        ]

    def _refuted_by(self, term: int, strong: bool) -> int:
        if (term, strong) not in self._refutes:
            silent = self.findings.described & ~self.findings.has[term] if strong else 0
            self._refutes[term, strong] = silent | self.findings.absent(term)
        return self._refutes[term, strong]

    def _absent(self, disease: int) -> list[Candidate]:
        return [
            Candidate(Clue(term, term, False), self._fits_without(term), self.findings.strong[term])
            for term in self._telling_absences(disease)
        ]

    def _telling_absences(self, disease: int) -> list[int]:
        """Recorded negatives that tell the disease from some other."""
        findings, bit = self.findings, self.findings.bit(disease)
        denied = sorted(findings.denied_of.get(disease, ()))
        return [term for term in denied if findings.strong.get(term) and findings.absent(term) & bit]

    def _fits_without(self, term: int) -> int:
        if term not in self._without:
            self._without[term] = self.findings.everyone & ~self.findings.strong[term]
        return self._without[term]


def _some(pool: list[Candidate], size: int, rng: random.Random) -> list[Candidate]:
    """At most `size` of the pool: a run of it from a random place, so that one draw is enough."""
    if len(pool) <= size:
        return pool
    start = int(rng.random() * (len(pool) - size + 1))
    return pool[start : start + size]


def _leaves(candidate: Candidate, left: int, unrefuted: int) -> int:
    """How much a clue leaves to do, up to a constant: diagnoses that still fit, and three times what it refutes."""
    return (left & candidate.fits).bit_count() - 3 * (unrefuted & candidate.refutes).bit_count()
