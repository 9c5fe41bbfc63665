"""Walk the hops of a family: what a start leads to, what leads to a target, and which walks a split may use.

Splits are by fact. A fact about a disease belongs to the split of the disease, any other to the split of its own hash;
a question uses facts of one split only, so that no fact of a held-out question occurs in training.
"""

import random
from collections import defaultdict

from fleming_nemo.rods.evidence import SPLITS, split_of
from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import Family, Hop

SHARES = {"sft": 0.6, "rl": 0.2, "heldout": 0.2}
_WALKS_PER_START = 40
_BACK = {"out": "in", "in": "out", "either": "either"}


class Splits:
    def __init__(self, facts: Facts, seed: int) -> None:
        self._facts, self._seed = facts, seed
        self._known: dict[tuple[str, ...], str] = {}

    def of_edge(self, hop: Hop, one: int, other: int) -> str:
        kg = self._facts.kg
        for node in (one, other):
            if kg.types[node] == "disease":
                return self._of(kg.ids[node])
        return self._of(hop.relation, *sorted((kg.ids[one], kg.ids[other])))

    def of_disease(self, node: int) -> str:
        return self._of(self._facts.kg.ids[node])

    def _of(self, *key: str) -> str:
        if key not in self._known:
            self._known[key] = split_of(key, self._seed, SHARES)
        return self._known[key]


class Walker:
    """One family over the whole graph; `walks` are those of one split."""

    def __init__(self, facts: Facts, family: Family, split: str, splits: Splits, starts: list[int]) -> None:
        self.facts, self.family = facts, family
        self._types = [family.start_type, *(hop.to for hop in family.hops)]
        self._forward: dict[int, frozenset[int]] = {}
        self._behind: dict[int, frozenset[int]] = {}
        self._wide: dict[int, frozenset[int]] = {}
        self.walks: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        """target -> walks (start, ..., target)."""
        assert split in SPLITS
        for start in starts:
            if family.start != "named" and splits.of_disease(start) != split:
                continue
            found = list(self._walk((start,), split, splits))
            if len(found) > _WALKS_PER_START:
                found = random.Random(start).sample(found, _WALKS_PER_START)
            for walk in found:
                self.walks[walk[-1]].append(walk)

    def forward(self, start: int) -> frozenset[int]:
        """Every right answer: ends of walks that visit no node twice."""
        if start not in self._forward:
            self._forward[start] = frozenset(walk[-1] for walk in self._walk((start,)))
        return self._forward[start]

    def behind(self, target: int) -> frozenset[int]:
        """Every start that leads to the target."""
        if target not in self._behind:
            reached: set[tuple[int, ...]] = {(target,)}
            for hop, kind in zip(reversed(self.family.hops), reversed(self._types[:-1]), strict=True):
                back = Hop(hop.relation, _BACK[hop.direction], kind)
                reached = {
                    (*walk, node)
                    for walk in reached
                    for node in self.facts.neighbours(back, walk[-1])
                    if node not in walk
                }
            self._behind[target] = frozenset(walk[-1] for walk in reached)
        return self._behind[target]

    def wide(self, start: int) -> frozenset[int]:
        """What the start, its subtypes and its wider entities lead to, with all relatives: no wrong option is in it."""
        if start not in self._wide:
            ends = set().union(*(self.forward(one) for one in self.facts.related(start)))
            self._wide[start] = frozenset(set().union(*map(self.facts.related, ends)) | self.facts.related(start))
        return self._wide[start]

    def _walk(self, walk: tuple[int, ...], split: str | None = None, splits: Splits | None = None):
        depth = len(walk) - 1
        if depth == len(self.family.hops):
            yield walk
            return
        hop = self.family.hops[depth]
        for node in self.facts.neighbours(hop, walk[-1]):
            if node not in walk and (splits is None or splits.of_edge(hop, walk[-1], node) == split):
                yield from self._walk((*walk, node), split, splits)
