"""Which disease has which finding, as bitsets over diseases: what a proof under partial information is made of.

A bitset is a Python integer with one bit per disease: intersecting two of them over 20,000 diseases takes well under a
microsecond, which is what makes a thousand proofs a second possible.

A disease *has* a finding when it is annotated with it or with a descendant; a missing annotation says nothing (open
world). Statements that some source denies still count as possible matches, never as evidence for or against.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from fleming_nemo.rods.kg.table import KnowledgeGraph

MIN_SHARE = 0.30
"""A finding is shown when at least this share of patients has it."""
STRONG_SHARE = 0.80
"""From this share on, a finding (or its absence) may decide against a disease."""
MIN_ANNOTATIONS = 3
"""A record with fewer findings is too thin for a missing one to mean anything."""
_UNKNOWN = (-1.0, 2.0)


def _code(kg: KnowledgeGraph) -> int:
    return kg.relations.index("has_phenotype") if "has_phenotype" in kg.relations else -1


class Findings:
    """`bounds`: disease -> finding -> (lowest, highest bound) over all sources; -1 and 2 where none is stated.

    Bitsets by finding: `has` (annotated with it or a narrower one, disputed or not), `strong` (at least 80 % of the
    patients have it), `some` (at least 30 % have exactly it), `fewer` (known to occur in fewer than 80 %, exactly it).
    `described` holds the diseases with at least three findings, `denied_of` the findings a disease is free of.
    """

    def __init__(self, kg: KnowledgeGraph, ancestors: Callable[[int], frozenset[int]]) -> None:
        self._ancestors = ancestors
        # Diseases without findings come last: Python drops leading zeros, which makes most bitsets half as long.
        diseases = kg.of_type("disease")
        bare = ~np.isin(diseases, kg.subject[kg.relation == _code(kg)])
        diseases = diseases[np.argsort(bare, kind="stable")].tolist()
        self.slot = {node: slot for slot, node in enumerate(diseases)}
        self.everyone = (1 << len(diseases)) - 1
        self.bounds: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        self.denied_of: dict[int, set[int]] = defaultdict(set)
        self._absent: dict[int, int] = {}
        self._information: dict[int, float] = {}
        annotated = self._read(kg)
        self.has = self._rolled_up(annotated)
        strong, some, fewer = defaultdict(list), defaultdict(list), defaultdict(list)
        for disease, terms in self.bounds.items():
            for term, (low, high) in terms.items():
                if low >= STRONG_SHARE:
                    strong[term].append(self.slot[disease])
                if low >= MIN_SHARE:
                    some[term].append(self.slot[disease])
                if low >= 0 and high < STRONG_SHARE:
                    fewer[term].append(self.slot[disease])
        self.strong = self._rolled_up(strong)
        self.some = {term: self._packed(slots) for term, slots in some.items()}
        self.fewer = {term: self._packed(slots) for term, slots in fewer.items()}
        self.described = self.bits(d for d, terms in self.bounds.items() if len(terms) >= MIN_ANNOTATIONS)

    def bits(self, diseases: Iterable[int]) -> int:
        return self._packed([self.slot[node] for node in diseases])

    def bit(self, disease: int) -> int:
        return 1 << self.slot[disease]

    def information(self, term: int) -> float:
        """-log2 of the share of annotated diseases that have the finding, in bits."""
        if term not in self._information:
            count = self.has.get(term, 0).bit_count()
            self._information[term] = math.log2(max(1, len(self.bounds)) / count) if count else math.inf
        return self._information[term]

    def absent(self, term: int) -> int:
        """Diseases recorded as free of the finding: it, or something wider, was looked for in vain."""
        if term not in self._absent:
            bits = 0
            for wider in self._ancestors(term):
                bits |= self._denied.get(wider, 0)
            self._absent[term] = bits & ~self.has.get(term, 0)
        return self._absent[term]

    def share(self, disease: int, term: int) -> float:
        """Lower bound of the share of patients with the finding or a narrower one."""
        known = self.bounds.get(disease, {})
        return max((low for own, (low, _) in known.items() if term in self._ancestors(own)), default=-1.0)

    def contradicting(self, term: int, band: str) -> int:
        """Diseases whose recorded frequencies, or a recorded absence, rule out that they have the finding `band`.

        `band` is often (at least 80 % of patients) or seldom (fewer than 30 %).
        """
        if band == "seldom":
            return self.some.get(term, 0)
        return self.absent(term) | (self.fewer.get(term, 0) & ~self.strong.get(term, 0))

    def _read(self, kg: KnowledgeGraph) -> dict[int, list[int]]:
        """Fill `bounds` and the denials; return the slots of the diseases annotated with exactly each finding."""
        edges = np.flatnonzero(kg.relation == _code(kg))
        columns = (kg.subject, kg.object, kg.low, kg.high, kg.negated, kg.contradicted)
        annotated, denied = defaultdict(list), defaultdict(list)
        for disease, term, low, high, negated, contradicted in zip(*(c[edges].tolist() for c in columns), strict=True):
            slot = self.slot.get(disease)
            if slot is None or (negated and contradicted):
                continue
            if negated:
                denied[term].append(slot)
                self.denied_of[disease].add(term)
                continue
            annotated[term].append(slot)
            if contradicted:
                continue
            old = self.bounds[disease].setdefault(term, _UNKNOWN)
            if not (math.isnan(low) or math.isnan(high)):
                known = (low, high) if old == _UNKNOWN else (min(low, old[0]), max(high, old[1]))
                self.bounds[disease][term] = known
        self._denied = {term: self._packed(slots) for term, slots in denied.items()}
        return annotated

    def _rolled_up(self, own: dict[int, list[int]]) -> dict[int, int]:
        """Bitsets by finding that also hold what the narrower findings have."""
        rolled: dict[int, int] = defaultdict(int)
        for term, slots in own.items():
            packed = self._packed(slots)
            for wider in self._ancestors(term):
                rolled[wider] |= packed
        return dict(rolled)

    def _packed(self, slots: list[int]) -> int:
        if len(slots) < 8:
            bits = 0
            for slot in slots:
                bits |= 1 << slot
            return bits
        flags = np.zeros(len(self.slot), bool)
        flags[slots] = True
        return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
