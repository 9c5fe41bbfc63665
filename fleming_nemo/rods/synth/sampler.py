"""Which entities are asked about: rare and under-covered ones first, and their near misses as the other options.

The weight of an entity is the inverse of how often the curated data mention it. Seeds are read off the cumulated
weights at the points of a golden-ratio sequence: evenly spread, proportional to the weights, and a function of the
running number alone, so any shard can be made without the others.

Near misses share features (findings, classes, mechanisms, partners) with the seed; shared rare features count more.
"""

import math
import random
from collections.abc import Iterable, Mapping

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import Hop

# A feature of more nodes than this (and of more than half) says nothing about likeness.
_HUB = 1500
_GOLDEN = (math.sqrt(5) - 1) / 2
_REACH = 2
SAMPLERS = ("rare-first", "uniform")
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


class Weights:
    """Sampling weight by node; `mentions` counts how often the curated data name it."""

    def __init__(self, facts: Facts, mentions: Mapping[str, int], sampler: str) -> None:
        if sampler not in SAMPLERS:
            raise UserError(f"no sampler {sampler}; there are {', '.join(SAMPLERS)}.")
        self.of = np.ones(len(facts.kg))
        if sampler == "rare-first":
            for identifier, count in mentions.items():
                if identifier in facts.kg.index:
                    self.of[facts.kg.index[identifier]] = 1 / (1 + count)


def seeds(pool: list[int], weights: Weights, start: int, offset: float) -> Iterable[int]:
    """Endless: the pool's entities in proportion to their weights, from running number `start` on."""
    cumulated = np.cumsum(weights.of[pool])
    number = start
    while True:
        point = (offset + number * _GOLDEN) % 1.0 * cumulated[-1]
        yield pool[min(int(np.searchsorted(cumulated, point, side="right")), len(pool) - 1)]
        number += 1


class Neighbourhood:
    """Near misses among the nodes of one type."""

    def __init__(self, facts: Facts, node_type: str, pool: list[int]) -> None:
        self._pool = np.array(pool, np.int64)
        self._place = {node: place for place, node in enumerate(pool)}
        self._features: list[list[int]] = []
        members: dict[int, list[int]] = {}
        for place, node in enumerate(pool):
            own: set[int] = set()
            for chain in _FEATURES.get(node_type, ()):
                reached = {node}
                for hop in chain:
                    reached = set().union(*(facts.neighbours(hop, one) for one in reached))
                own |= reached
            self._features.append(sorted(own))
            for feature in self._features[-1]:
                members.setdefault(feature, []).append(place)
        size = max(1, len(pool))
        self._members = {f: np.array(m, np.int64) for f, m in members.items() if 1 < len(m) <= max(_HUB, size // 2)}
        self._gain = {f: math.log2(1 + size / len(m)) for f, m in self._members.items()}

    def draw(self, node: int, size: int, weights: Weights, rng: random.Random) -> list[int]:
        """Up to `size` near misses out of the twice as many that are nearest, rare ones preferred."""
        own = [f for f in self._features[self._place[node]] if f in self._members]
        if not own:
            return []
        if len(own) > 30:
            own = rng.sample(own, 30)
        rows = [self._members[f] for f in own]
        gain = np.repeat([self._gain[f] for f in own], [len(row) for row in rows])
        score = np.bincount(np.concatenate(rows), gain, len(self._pool))
        score[self._place[node]] = 0
        # Most similar first; ties by place, so that the order does not depend on the sorting algorithm.
        count = min(_REACH * size, int((score > 0).sum()))
        best = np.argpartition(-score, count - 1)[:count] if count else np.empty(0, np.int64)
        floor = score[best].min() if count else 0
        best = np.flatnonzero((score >= floor) & (score > 0)) if count else best
        best = best[np.lexsort((best, -score[best]))][:count]
        keys = {int(p): math.log(1 - rng.random()) / float(weights.of[self._pool[p]]) ** 0.5 for p in best}
        return [int(self._pool[p]) for p in sorted(keys, key=lambda p: (-keys[p], p))[:size]]
