"""Wrong options that keep the relation, arranged so that the options alone say nothing.

Drawing near misses for each question by itself makes the answer the centre of its options: a classifier that never
sees the findings then picks it out in four of five items. So options come in *families* of mutual near misses, and a
family is asked once for every member. Whatever options are shown, each of them is the answer equally often; only
the findings decide. Nearness to the question at hand comes from the choice of evidence: among a member's evidence sets
the one that most other members almost fit.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleming_nemo.rods.graph import Graph
from fleming_nemo.rods.universe import Universe, UniverseDisease

# How far down the ranking of near misses a family may reach for variety.
_REACH = 3


@dataclass(frozen=True, slots=True)
class Option:
    """A node that may be an option, with the diseases whose findings lead to it along the path of the tier."""

    node: str
    text: str
    gene: str
    diagnoses: tuple[UniverseDisease, ...]


def options_of_tier(universe: Universe, tier: str) -> tuple[Option, ...]:
    """Every possible option, sorted by node: diseases (easy, difficult) or genes (moderate)."""
    groups = universe.by_gene
    if tier == "easy":
        return tuple(Option(d.id, d.name, d.gene, (d,)) for d in universe.diseases)
    if tier == "moderate":
        return tuple(Option(gene, gene, gene, diseases) for gene, diseases in groups.items())
    return tuple(
        Option(d.id, d.name, d.gene, tuple(other for other in groups[d.gene] if other.id != d.id))
        for d in universe.diseases
    )


class Nearness:
    """Number of profile findings that the diagnoses behind two options share, both ways."""

    def __init__(self, graph: Graph, options: Sequence[Option]) -> None:
        self._shared = {
            (one.node, other.node): max(_common(graph, a, b) for a in one.diagnoses for b in other.diagnoses)
            for one in options
            for other in options
        }

    def __call__(self, one: Option, other: Option) -> int:
        return self._shared[one.node, other.node]


def _common(graph: Graph, one: UniverseDisease, other: UniverseDisease) -> int:
    return sum(graph.has(other.id, t) for t in one.profile) + sum(graph.has(one.id, t) for t in other.profile)


def draw_family(
    options: Iterable[Option],
    size: int,
    asked: Mapping[str, int],
    nearness: Nearness,
    alone_with_gene: bool,
    rng: random.Random,
) -> list[Option]:
    """`size` options that are near misses of one another, or fewer when `options` do not yield that many.

    The first is one of the least asked; each further one is near those drawn before and asked at most twice more than
    the least asked, so that hubs of the graph do not crowd the questions. `alone_with_gene` keeps out a second option
    of a gene: in the difficult tier two such options would rule each other out.
    """
    pool = list(options)
    rng.shuffle(pool)
    pool.sort(key=lambda o: asked.get(o.node, 0))
    family: list[Option] = []
    while pool and len(family) < size:
        least = asked.get(pool[0].node, 0)
        fresh = [o for o in pool if asked.get(o.node, 0) <= least + 2]
        if family:
            fresh.sort(key=lambda o: -sum(nearness(o, member) for member in family))
            member = rng.choice(fresh[:_REACH])
        else:
            member = pool[0]
        family.append(member)
        pool = [o for o in pool if o is not member and not (alone_with_gene and o.gene == member.gene)]
    return family


def almost_fits(graph: Graph, option: Option, findings: Iterable[str]) -> tuple[UniverseDisease, tuple[str, ...]]:
    """(the diagnosis behind the option that has most of the findings, the findings it has)."""
    findings = tuple(findings)
    having = [(d, tuple(t for t in findings if graph.has(d.id, t))) for d in option.diagnoses]
    return max(having, key=lambda pair: len(pair[1]))
