"""Near misses: nodes of one type that share features with another, nearest first.

These are the relation-preserving perturbations of the paper: a wrong option is a node of the same kind that shares
findings, classes, mechanisms or partners with the right one, and shared rare features count more. What sets it apart
on the shown evidence is proven later (options.py, clues.py).
"""

import math

import numpy as np

from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import Hop

# A feature of more nodes than this (and of more than half) says nothing about likeness.
_HUB = 1500
_MOST_FEATURES = 30
_NEAREST = 128
# What makes two nodes of a type alike: relations, each with the types it may end at.
_FEATURES: dict[str, tuple[tuple[Hop, ...], ...]] = {
    "disease": ((Hop("has_phenotype", "out", "phenotype"),), (Hop("subtype_of", "out", "disease"),)),
    "gene": (
        (Hop("caused_by", "in", "disease"), Hop("has_phenotype", "out", "phenotype")),
        (Hop("has_gene_drug_guideline", "out", "drug"),),
    ),
    "drug": (
        (Hop("in_class", "out", "drug_class"),),
        (Hop("has_mechanism", "out", "mechanism"),),
        (Hop("in_category", "out", "category"),),
        (Hop("interacts_with", "either", "drug"),),
        (Hop("has_gene_drug_guideline", "in", "gene"),),
    ),
    "mechanism": (
        (Hop("has_mechanism", "in", "drug"),),
        (Hop("has_mechanism", "in", "drug"), Hop("in_class", "out", "drug_class")),
        (Hop("has_mechanism", "in", "drug"), Hop("in_category", "out", "category")),
        (Hop("has_mechanism", "in", "drug"), Hop("interacts_with", "either", "drug")),
        (Hop("is_a", "out", "mechanism"),),
    ),
    "inheritance": ((Hop("inherited_as", "in", "disease"), Hop("has_phenotype", "out", "phenotype")),),
}


class Features:
    """Features of a node by its type, kept for all families that ask about the type."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[int, tuple[int, ...]] = {}

    def of(self, node: int) -> tuple[int, ...]:
        if node not in self._known:
            own: set[int] = set()
            for chain in _FEATURES.get(self._facts.kg.types[node], ()):
                reached = {node}
                for hop in chain:
                    table = self._facts.table(hop)
                    reached = set().union(*(table.get(one, ()) for one in reached))
                own |= reached
            self._known[node] = tuple(sorted(own))
        return self._known[node]


class Neighbourhood:
    """Near misses among the nodes of `pool`."""

    def __init__(self, features: Features, pool: list[int]) -> None:
        self._features, self._pool = features, np.array(pool, np.int64)
        self._place = {node: place for place, node in enumerate(pool)}
        self._nearest: dict[int, list[int]] = {}
        members: dict[int, list[int]] = {}
        for place, node in enumerate(pool):
            for feature in features.of(node):
                members.setdefault(feature, []).append(place)
        size = max(1, len(pool))
        self._members = {f: np.array(m, np.int64) for f, m in members.items() if 1 < len(m) <= max(_HUB, size // 2)}
        self._gain = {f: math.log2(1 + size / len(m)) for f, m in self._members.items()}

    def nearest(self, node: int) -> list[int]:
        """Up to 128 other nodes of the pool that share a feature with the node, most alike first."""
        if node not in self._nearest:
            self._nearest[node] = self._rank(node)
        return self._nearest[node]

    def _rank(self, node: int) -> list[int]:
        own = [f for f in self._features.of(node) if f in self._members]
        if not own:
            return []
        # The most telling features; what nearly every node has costs much and changes little.
        own = sorted(own, key=lambda f: (-self._gain[f], f))[:_MOST_FEATURES]
        rows = [self._members[f] for f in own]
        gain = np.repeat([self._gain[f] for f in own], [len(row) for row in rows])
        score = np.bincount(np.concatenate(rows), gain, len(self._pool))
        score[self._place[node]] = 0
        count = min(_NEAREST, int((score > 0).sum()))
        if not count:
            return []
        # Most similar first; ties by place, so that the order does not depend on the sorting algorithm.
        floor = np.partition(score, len(score) - count)[len(score) - count]
        best = np.flatnonzero(score >= floor)
        best = best[np.lexsort((best, -score[best]))][:count]
        return self._pool[best].tolist()
