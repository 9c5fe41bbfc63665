"""What proofs ask of the graph, prepared once: neighbours as tuples, findings as bitsets over diseases.

A bitset is a Python integer with one bit per disease: intersecting two of them over 20,000 diseases takes well under a
microsecond, which is what makes a thousand proofs a second possible.

Open world: an annotation says that a finding occurs, a missing one says nothing. A disease *has* a finding when it is
annotated with it or with a descendant. Statements that some source denies still count as possible matches, never as
evidence for or against.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.families import Hop

MIN_SHARE = 0.30
"""A finding is shown when at least this share of patients has it."""
STRONG_SHARE = 0.80
"""From this share on, a finding (or its absence) may decide against a disease."""
MIN_ANNOTATIONS = 3
"""A record with fewer findings is too thin for a missing one to mean anything."""
_HIERARCHY = {"disease": ("subtype_of", "is_a")}


@dataclass(frozen=True, slots=True)
class Clue:
    term: int
    """The finding as shown."""
    own: int
    """The finding that the disease is annotated with: `term` or a descendant."""
    present: bool
    band: str | None = None
    """often (at least 80 % of patients) or seldom (fewer than 30 %); None where frequency is not part of the clue."""


class Facts:
    def __init__(self, kg: KnowledgeGraph) -> None:
        self.kg = kg
        self.diseases = kg.of_type("disease").tolist()
        self.slot = {node: slot for slot, node in enumerate(self.diseases)}
        self._rows: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        self._up: dict[int, frozenset[int]] = {}
        self._related: dict[int, frozenset[int]] = {}
        self._pairs: dict[str, dict[tuple[int, int], list[int]]] = {}
        self._evidence: dict[int, tuple[str, ...]] = {}
        self._findings()

    def neighbours(self, hop: Hop, node: int) -> tuple[int, ...]:
        """Nodes of the hop's type, ascending; statements that a source denies are left out."""
        if hop.direction == "either":
            both = self._row(hop.relation, "out")[node] + self._row(hop.relation, "in")[node]
            return tuple(sorted(n for n in set(both) if self.kg.types[n] == hop.to))
        return tuple(n for n in self._row(hop.relation, hop.direction)[node] if self.kg.types[n] == hop.to)

    def edges(self, relation: str, subject: int, object_: int) -> list[int]:
        """Numbers of the statements of a pair that nobody denies."""
        if relation not in self._pairs:
            pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
            for edge in self._sound(relation).tolist():
                pairs[int(self.kg.subject[edge]), int(self.kg.object[edge])].append(edge)
            self._pairs[relation] = dict(pairs)
        return self._pairs[relation].get((subject, object_), [])

    def denials(self, subject: int, term: int) -> list[int]:
        """Numbers of the statements that a disease does not have a finding."""
        edges = self.kg.outgoing("has_phenotype", negated=True)
        return [e for e in edges.edges(subject).tolist() if self.kg.object[e] == term]

    def evidence(self, edge: int) -> tuple[str, ...]:
        if edge not in self._evidence:
            self._evidence[edge] = self.kg.evidence(edge)
        return self._evidence[edge]

    def ancestors(self, node: int) -> frozenset[int]:
        """The node and everything wider."""
        if node not in self._up:
            seen, waiting = {node}, [node]
            while waiting:
                one = waiting.pop()
                for relation in _HIERARCHY.get(self.kg.types[node], ("is_a",)):
                    fresh = set(self._row(relation, "out")[one]) - seen
                    seen |= fresh
                    waiting.extend(fresh)
            self._up[node] = frozenset(seen)
        return self._up[node]

    def related(self, node: int) -> frozenset[int]:
        """The node, everything wider and everything narrower: options that would be right, or nearly, as well."""
        if node not in self._related:
            seen, waiting = {node}, [node]
            while waiting:
                one = waiting.pop()
                for relation in _HIERARCHY.get(self.kg.types[node], ("is_a",)):
                    fresh = set(self._row(relation, "in")[one]) - seen
                    seen |= fresh
                    waiting.extend(fresh)
            self._related[node] = self.ancestors(node) | seen
        return self._related[node]

    def bits(self, diseases: "frozenset[int] | set[int] | tuple[int, ...]") -> int:
        out = 0
        for node in diseases:
            out |= 1 << self.slot[node]
        return out

    def information(self, term: int) -> float:
        """-log2 of the share of annotated diseases that have the finding, in bits."""
        count = self.has[term].bit_count() if term in self.has else 0
        return math.log2(self.num_annotated / count) if count else math.inf

    @cached_property
    def all_bits(self) -> int:
        return (1 << len(self.diseases)) - 1

    def _sound(self, relation: str) -> np.ndarray:
        kg = self.kg
        if relation not in kg.relations:
            return np.empty(0, np.int64)
        return np.flatnonzero((kg.relation == kg.relations.index(relation)) & ~kg.negated & ~kg.contradicted)

    def _row(self, relation: str, direction: str) -> list[tuple[int, ...]]:
        key = relation, direction
        if key not in self._rows:
            edges = self._sound(relation)
            ends = self.kg.subject[edges], self.kg.object[edges]
            rows: list[set[int]] = [set() for _ in range(len(self.kg))]
            here, there = ends if direction == "out" else ends[::-1]
            for one, other in zip(here.tolist(), there.tolist(), strict=True):
                rows[one].add(other)
            self._rows[key] = [tuple(sorted(row)) for row in rows]
        return self._rows[key]

    def _findings(self) -> None:
        """Bitsets by finding, and per disease the bounds of its own findings."""
        kg = self.kg
        code = kg.relations.index("has_phenotype") if "has_phenotype" in kg.relations else -1
        self.bounds: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        """disease -> finding -> (lowest bound, highest bound) over all sources; -1 and 2 where none is stated."""
        has: dict[int, int] = defaultdict(int)
        strong: dict[int, int] = defaultdict(int)
        denied: dict[int, int] = defaultdict(int)
        count: dict[int, set[int]] = defaultdict(set)
        self.denied_of: dict[int, set[int]] = defaultdict(set)
        for edge in np.flatnonzero(kg.relation == code).tolist():
            disease, term = int(kg.subject[edge]), int(kg.object[edge])
            if disease not in self.slot:
                continue
            bit = 1 << self.slot[disease]
            if kg.negated[edge]:
                if not kg.contradicted[edge]:
                    denied[term] |= bit
                    self.denied_of[disease].add(term)
                continue
            for wider in self.ancestors(term):
                has[wider] |= bit
            if kg.contradicted[edge]:
                continue
            count[disease].add(term)
            low, high = float(kg.low[edge]), float(kg.high[edge])
            if math.isnan(low) or math.isnan(high):
                self.bounds[disease].setdefault(term, (-1.0, 2.0))
                continue
            old = self.bounds[disease].get(term, (-1.0, 2.0))
            self.bounds[disease][term] = (low, high) if old == (-1.0, 2.0) else (min(low, old[0]), max(high, old[1]))
        for disease, terms in self.bounds.items():
            bit = 1 << self.slot[disease]
            for term, (low, _) in terms.items():
                if low >= STRONG_SHARE:
                    for wider in self.ancestors(term):
                        strong[wider] |= bit
        self.has, self.strong, self.denied = dict(has), dict(strong), dict(denied)
        self.described = self.bits(frozenset(d for d, terms in count.items() if len(terms) >= MIN_ANNOTATIONS))
        self.num_annotated = max(1, len(count))
        self._absent: dict[int, int] = {}

    def absent(self, term: int) -> int:
        """Diseases recorded as free of the finding: it, or something wider, was looked for in vain."""
        if term not in self._absent:
            bits = 0
            for wider in self.ancestors(term):
                bits |= self.denied.get(wider, 0)
            self._absent[term] = bits & ~self.has.get(term, 0)
        return self._absent[term]

    def share(self, disease: int, term: int) -> float:
        """Lower bound of the share of patients with the finding or a narrower one."""
        known = self.bounds.get(disease, {})
        return max((low for own, (low, _) in known.items() if term in self.ancestors(own)), default=-1.0)
