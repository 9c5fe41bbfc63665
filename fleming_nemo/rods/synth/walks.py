"""Walk the hops of a family: what a start leads to, what leads to a target, and which walks a split may use.

Splits are by fact. A fact about a disease belongs to the split of the disease, any other to the split of its own hash;
a question uses facts of one split only, so that no fact of a held-out question occurs in training.
"""

import random
from collections import defaultdict
from collections.abc import Mapping

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
    """One family over the whole graph; `walks` are those of one split: target -> walks (start, ..., target).

    Every walk is a sampled path in topological order, from what is shown to what is asked. A family whose last node
    must be the only one there is (`functional`) has no walk from a start that leads to several.
    """

    def __init__(self, facts: Facts, family: Family, split: str, splits: Splits, starts: list[int]) -> None:
        assert split in SPLITS
        self.facts, self.family = facts, family
        types = [family.start_type, *(hop.to for hop in family.hops)]
        self._tables = [facts.table(hop) for hop in family.hops]
        self._back = [
            facts.table(Hop(hop.relation, _BACK[hop.direction], kind))
            for hop, kind in zip(reversed(family.hops), reversed(types[:-1]), strict=True)
        ]
        self._forward: dict[int, frozenset[int]] = {}
        self._behind: dict[int, frozenset[int]] = {}
        self._behind_bits: dict[int, int] = {}
        self._wide: dict[int, frozenset[int]] = {}
        self.walks: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for start in starts:
            if family.start != "named" and splits.of_disease(start) != split:
                continue
            if family.functional and len(self.forward(start)) != 1:
                continue
            found = self._walks(start, split, splits)
            if len(found) > _WALKS_PER_START:
                found = random.Random(start).sample(found, _WALKS_PER_START)
            for walk in found:
                self.walks[walk[-1]].append(walk)

    def forward(self, start: int) -> frozenset[int]:
        """Every right answer: ends of walks that visit no node twice."""
        if start not in self._forward:
            self._forward[start] = frozenset(walk[-1] for walk in _extended((start,), self._tables))
        return self._forward[start]

    def behind(self, target: int) -> frozenset[int]:
        """Every start that leads to the target."""
        if target not in self._behind:
            self._behind[target] = frozenset(walk[-1] for walk in _extended((target,), self._back))
        return self._behind[target]

    def behind_bits(self, target: int) -> int:
        """The diseases that lead to the target, as a bitset: all have to be refuted when it is a wrong option."""
        if target not in self._behind_bits:
            self._behind_bits[target] = self.facts.findings.bits(self.behind(target))
        return self._behind_bits[target]

    def barred(self, start: int) -> frozenset[int]:
        """What cannot be a wrong option beside the start: right answers and, when it is named, all that is near them.

        Near is what the start, its subtypes and its wider entities lead to, with all relatives.
        """
        if self.family.start != "named":
            return self.forward(start)
        if start not in self._wide:
            ends = set().union(*(self.forward(one) for one in self.facts.related(start)))
            self._wide[start] = frozenset(set().union(*map(self.facts.related, ends)) | self.facts.related(start))
        return self._wide[start]

    def _walks(self, start: int, split: str, splits: Splits) -> list[tuple[int, ...]]:
        """Walks whose facts all belong to the split."""
        found: list[tuple[int, ...]] = [(start,)]
        for hop, table in zip(self.family.hops, self._tables, strict=True):
            found = [
                (*walk, node)
                for walk in found
                for node in table.get(walk[-1], ())
                if node not in walk and splits.of_edge(hop, walk[-1], node) == split
            ]
        return found


def _extended(walk: tuple[int, ...], tables: list[Mapping[int, tuple[int, ...]]]) -> list[tuple[int, ...]]:
    """All walks over the tables that begin like `walk` and visit no node twice."""
    found = [walk]
    for table in tables:
        found = [(*one, node) for one in found for node in table.get(one[-1], ()) if node not in one]
    return found
