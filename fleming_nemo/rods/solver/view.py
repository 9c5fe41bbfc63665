"""The graph as one trial sees it: every statement is lost with a fixed probability, by a draw of its own.

What remains is turned into rows that are quick to look up: diseases of a finding (annotated with it or with something
narrower), and neighbours by relation.
"""

from __future__ import annotations

import numpy as np

from fleming_nemo.rods.kg.table import KnowledgeGraph

LOST = 0.1
"""Share of statements that a trial does not know. Five trials then all miss a given one in one case of 100,000."""
STRONG = 0.8
"""A finding that so many patients have counts against the disease when it is said to be absent."""
_REMEMBERED = 20_000
_UNKNOWN_LOW, _UNKNOWN_HIGH = -1.0, 2.0


class Rows:
    """Sorted values by row number, in compressed form."""

    def __init__(self, rows: np.ndarray, values: np.ndarray, size: int) -> None:
        """Pairs may repeat; each is kept once. `rows` are numbers below `size`."""
        width = int(values.max()) + 1 if len(values) else 1
        key = np.unique(rows.astype(np.int64) * width + values)
        self._values = (key % width).astype(np.int32)
        self._start = np.searchsorted(key // width, np.arange(size + 1)).astype(np.int32)

    def __getitem__(self, row: int) -> np.ndarray:
        return self._values[self._start[row] : self._start[row + 1]]


class Statements:
    """Everything about findings that does not depend on the trial, worked out once."""

    def __init__(self, kg: KnowledgeGraph) -> None:
        self.kg = kg
        self.diseases = np.array([n for n, kind in enumerate(kg.types) if kind == "disease"], np.int64)
        self.slot = np.full(len(kg), -1, np.int64)
        self.slot[self.diseases] = np.arange(len(self.diseases))
        code = kg.relations.index("has_phenotype") if "has_phenotype" in kg.relations else -1
        about = (kg.relation == code) & (self.slot[kg.subject] >= 0)
        self.wider = _wider(kg)
        self.edges, self.terms = self._spread(np.flatnonzero(about & ~kg.negated))
        denied, terms = self._spread(np.flatnonzero(about & kg.negated), own=True)
        self.denied = Rows(terms, self.slot[kg.subject[denied]], len(kg))
        low, high = np.nan_to_num(kg.low, nan=_UNKNOWN_LOW), np.nan_to_num(kg.high, nan=_UNKNOWN_HIGH)
        self.low, self.high = low, high
        often = low[self.edges] >= STRONG
        self.often = Rows(self.terms[often], self.slot[kg.subject[self.edges[often]]], len(kg))

    def _spread(self, edges: np.ndarray, own: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(edge, term): each statement with its own finding and, unless `own`, with all wider ones."""
        objects = self.kg.object[edges]
        if own:
            return edges, objects.astype(np.int64)
        lists = [self.wider[int(term)] for term in objects]
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        terms = np.fromiter((t for found in lists for t in found), np.int64, int(counts.sum()))
        return np.repeat(edges, counts), terms


class View:
    """What one trial knows."""

    def __init__(self, statements: Statements, kept: np.ndarray) -> None:
        """`kept` says by edge number whether the trial knows the statement."""
        self.all, self.kept = statements, kept
        kg, known = statements.kg, kept[statements.edges]
        edges, terms = statements.edges[known], statements.terms[known]
        self.has = Rows(terms, statements.slot[kg.subject[edges]], len(kg))
        self.annotated = max(1, len(np.unique(kg.subject[edges])))
        self._bounds: dict[tuple[str, float], Rows] = {}
        self._near: dict[tuple[int, str], list[int]] = {}

    def bounded(self, side: str, share: float) -> Rows:
        """Diseases by finding whose record says "at least `share` of patients", or for "most" at most so many."""
        key = side, round(share, 3)
        if key not in self._bounds:
            s = self.all
            edges = np.unique(s.edges[self.kept[s.edges]])
            edges = edges[s.low[edges] >= share] if side == "least" else edges[s.high[edges] <= share]
            self._bounds[key] = Rows(s.kg.object[edges], s.slot[s.kg.subject[edges]], len(s.kg))
        return self._bounds[key]

    def neighbours(self, node: int, relation: str) -> list[int]:
        """Nodes that a known statement of the relation links to the node, in either direction; from variants only."""
        key = node, relation
        if key in self._near:
            return self._near[key]
        kg = self.all.kg
        edges = kg.incoming(relation).edges(node)
        found = [kg.subject[edges[self.kept[edges]]]]
        if relation != "has_variant":
            edges = kg.outgoing(relation).edges(node)
            found.append(kg.object[edges[self.kept[edges]]])
        if len(self._near) >= _REMEMBERED:
            self._near.clear()
        self._near[key] = np.unique(np.concatenate(found)).tolist()
        return self._near[key]


def kept_edges(num_edges: int, seed: int, trial: int) -> np.ndarray:
    """Which statements a trial knows; depends on seed and trial alone."""
    return np.random.default_rng([seed, trial]).random(num_edges) >= LOST


def _wider(kg: KnowledgeGraph) -> dict[int, tuple[int, ...]]:
    """finding -> itself and all that it is a kind of, for the findings that diseases are annotated with."""
    rows = kg.outgoing("is_a")
    found: dict[int, tuple[int, ...]] = {}
    code = kg.relations.index("has_phenotype") if "has_phenotype" in kg.relations else -1
    for term in np.unique(kg.object[kg.relation == code]).tolist():
        seen, waiting = {term}, [term]
        while waiting:
            for wider in kg.object[rows.edges(waiting.pop())].tolist():
                if wider not in seen:
                    seen.add(wider)
                    waiting.append(wider)
        found[term] = tuple(sorted(seen))
    return found
