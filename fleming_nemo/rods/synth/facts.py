"""What proofs ask of the graph, prepared once: neighbours as tuples, kinship, and the statements behind a relation.

Open world: an annotation says that something is so, a missing one says nothing. Statements that some source denies
are no evidence for or against (see findings.py for what they still may do).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.families import Hop
from fleming_nemo.rods.synth.findings import Findings

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
    """`findings` holds what the statements about diseases and their findings say; nodes are numbers throughout."""

    def __init__(self, kg: KnowledgeGraph) -> None:
        self.kg = kg
        self._links: dict[tuple[str, str], Mapping[int, tuple[int, ...]]] = {}
        self._tables: dict[tuple[str, str, str], Mapping[int, tuple[int, ...]]] = {}
        self._up: dict[int, frozenset[int]] = {}
        self._related: dict[int, frozenset[int]] = {}
        self._statements: dict[tuple[str, int, bool], dict[int, list[int]]] = {}
        self._told: dict[tuple[str, int, int, bool], dict[str, Any]] = {}
        self.findings = Findings(kg, self.ancestors)

    def table(self, hop: Hop) -> Mapping[int, tuple[int, ...]]:
        """node -> nodes of the hop's type, ascending; statements that a source denies are left out."""
        key = hop.relation, hop.direction, hop.to
        if key not in self._tables:
            types = self.kg.types
            links = self._linked(hop.relation, hop.direction)
            rows = ((node, tuple(n for n in row if types[n] == hop.to)) for node, row in links.items())
            self._tables[key] = {node: row for node, row in rows if row}
        return self._tables[key]

    def neighbours(self, hop: Hop, node: int) -> tuple[int, ...]:
        return self.table(hop).get(node, ())

    def edges(self, relation: str, subject: int, object_: int, negated: bool = False) -> list[int]:
        """Numbers of the statements of a pair that nobody denies; with `negated`, of those that deny it."""
        key = relation, subject, negated
        if key not in self._statements:
            kg, by_object = self.kg, defaultdict(list)
            for edge in kg.outgoing(relation, negated=negated).edges(subject).tolist():
                if negated or not kg.contradicted[edge]:
                    by_object[int(kg.object[edge])].append(edge)
            self._statements[key] = dict(by_object)
        return self._statements[key].get(object_, [])

    def statement(self, relation: str, subject: int, object_: int, negated: bool = False) -> dict[str, Any]:
        """What all sources together say about a pair, for the provenance: bounds, sources and evidence. Not a copy."""
        key = relation, subject, object_, negated
        if key not in self._told:
            kg, numbers = self.kg, self.edges(relation, subject, object_, negated)
            lows = [float(kg.low[e]) for e in numbers if kg.low[e] == kg.low[e]]
            highs = [float(kg.high[e]) for e in numbers if kg.high[e] == kg.high[e]]
            self._told[key] = {
                "from": kg.ids[subject],
                "relation": relation,
                "to": kg.ids[object_],
                "negated": negated,
                "low": round(min(lows), 4) if lows else None,
                "high": round(max(highs), 4) if highs else None,
                "sources": sorted({kg.sources[kg.source[e]] for e in numbers}),
                "evidence": sorted({text for e in numbers for text in kg.evidence(e)})[:8],
            }
        return self._told[key]

    def ancestors(self, node: int) -> frozenset[int]:
        """The node and everything wider."""
        if node not in self._up:
            self._up[node] = self._closure(node, "out")
        return self._up[node]

    def related(self, node: int) -> frozenset[int]:
        """The node, everything wider and everything narrower: options that would be right, or nearly, as well."""
        if node not in self._related:
            self._related[node] = self.ancestors(node) | self._closure(node, "in")
        return self._related[node]

    def _closure(self, node: int, direction: str) -> frozenset[int]:
        relations = _HIERARCHY.get(self.kg.types[node], ("is_a",))
        rows = [self._linked(relation, direction) for relation in relations]
        seen, waiting = {node}, [node]
        while waiting:
            one = waiting.pop()
            for row in rows:
                fresh = set(row.get(one, ())) - seen
                seen |= fresh
                waiting.extend(fresh)
        return frozenset(seen)

    def _linked(self, relation: str, direction: str) -> Mapping[int, tuple[int, ...]]:
        """node -> nodes over one relation, whatever their type."""
        key = relation, direction
        if key not in self._links:
            kg = self.kg
            code = kg.relations.index(relation) if relation in kg.relations else -1
            edges = np.flatnonzero((kg.relation == code) & ~kg.negated & ~kg.contradicted)
            ends = kg.subject[edges], kg.object[edges]
            both = {"out": ends, "in": ends[::-1]}
            both["either"] = np.concatenate(ends), np.concatenate(ends[::-1])
            self._links[key] = _grouped(*both[direction])
        return self._links[key]


def _grouped(here: np.ndarray, there: np.ndarray) -> dict[int, tuple[int, ...]]:
    """node -> distinct nodes on the other side, ascending."""
    order = np.lexsort((there, here))
    here, there = here[order], there[order]
    fresh = np.ones(len(here), bool)
    fresh[1:] = (here[1:] != here[:-1]) | (there[1:] != there[:-1])
    nodes, starts = np.unique(here[fresh], return_index=True)
    others: list[int] = there[fresh].tolist()
    bounds = [*starts.tolist(), len(others)]
    return {node: tuple(others[a:b]) for node, a, b in zip(nodes.tolist(), bounds, bounds[1:], strict=False)}
