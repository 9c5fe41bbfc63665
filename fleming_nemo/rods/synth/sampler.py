"""Which entities are asked about, and in which order: the sampler of topological sampling.

`uniform` draws entities at random. `rare-first` deliberately favours the less common ones, as the paper does:

    turns     every entity has a fixed random place on a circle. A shard starts at a point of its own (points of shards
              follow a golden-ratio sequence, hence lie evenly) and asks the entities in the order of their places, so
              that none is asked again before the others had their turn: in the shard exactly, over all shards nearly
    rare      an entity that curated data mention five times or more sits out most turns: it takes part in one shard
              out of mentions / 5
    scarce    what only one kind of question can ask about comes first there: diseases that findings single out are
              left to the families that describe them by findings
    the path  whatever lies on the path of a question has had its turn, be it asked for, masked or shown. Of several
              walks to a target the one over entities that were asked least is taken, and so with near misses

All of it is a function of (graph, seed, split, shard), so any shard can be made without the others.
"""

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import count

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.table import KnowledgeGraph

SAMPLERS = ("rare-first", "uniform")
UNDER_COVERED = 5
"""Fewer curated mentions than this make an entity under-covered."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_SITTING_OUT = 4
_LOOKED_AT = 64
_FAR_MORE = 4


class Sampler:
    """Places of the entities of a graph; `mentions` counts how often the curated data name each (by id)."""

    def __init__(self, kg: KnowledgeGraph, mentions: Mapping[str, int], name: str, seed: int) -> None:
        if name not in SAMPLERS:
            raise UserError(f"no sampler {name}; there are {', '.join(SAMPLERS)}.")
        rng = random.Random(seed)
        self.rare_first = name == "rare-first"
        self.place = [rng.random() for _ in range(len(kg))]
        self.mentions = {kg.index[i]: n for i, n in mentions.items() if i in kg.index and n >= UNDER_COVERED}

    def turns(self, shard: int, rng: random.Random) -> "Turns":
        return Turns(self, shard, rng)


class Turns:
    """The turns of one shard; `asked` counts how often each node lay on the path of one of its questions."""

    def __init__(self, sampler: Sampler, shard: int, rng: random.Random) -> None:
        self._sampler, self._rng = sampler, rng
        self._start = shard * _GOLDEN % 1.0
        self.asked: Counter[int] = Counter()
        self._total = 0

    def done(self, path: Sequence[int]) -> None:
        self.asked.update(path)
        self._total += len(path)

    def order(self, nodes: Iterable[int], later: Container[int] = ()) -> list[int]:
        """The nodes, those first whose turn it is and `later` ones last; shuffled for the uniform sampler."""
        if not self._sampler.rare_first:
            mixed = list(nodes)
            self._rng.shuffle(mixed)
            return mixed
        place, start, times = self._sampler.place, self._start, self._times
        return sorted(nodes, key=lambda node: times(node) + (node in later) + (place[node] - start) % 1.0)

    def walks(self, walks: Sequence[tuple[int, ...]], most: int, later: Container[int] = ()) -> list[tuple[int, ...]]:
        """At most so many walks to one target, those first that lead over entities whose turn it is.

        None over a start that was asked far more often than others: few diseases are mitochondrial, say, and they
        would be asked whenever that is an option.
        """
        if not self._sampler.rare_first:
            return self._rng.sample(walks, min(most, len(walks)))
        place, start, times = self._sampler.place, self._start, self._times
        some = self._rng.sample(walks, _LOOKED_AT) if len(walks) > _LOOKED_AT else list(walks)
        enough = _FAR_MORE * (1 + self._total / max(1, len(self.asked)))
        some = [walk for walk in some if self.asked[walk[0]] < enough]
        some.sort(
            key=lambda walk: sum(times(n) + (n in later) for n in walk[:-1]) + (place[walk[0]] - start) % 1.0,
        )
        return some[:most]

    def seeds(self, pool: Sequence[int], later: Container[int] = ()) -> Iterator[int]:
        """Endless: the entity of the pool whose turn it is. `pool` is sorted by `Sampler.place`."""
        if not self._sampler.rare_first:
            while True:
                yield self._rng.choice(pool)
        first = bisect_left(pool, self._start, key=lambda node: self._sampler.place[node])
        for lap in count():
            for node in (*pool[first:], *pool[:first]):
                if self._times(node) + (node in later) <= lap:
                    yield node

    def _times(self, node: int) -> int:
        """How often the node was asked; one that sits out this shard counts as asked several times."""
        mentions = self._sampler.mentions.get(node)
        if mentions is None:
            return self.asked[node]
        # Digits of the place that say nothing about the order of turns decide who sits out.
        drawn = (self._sampler.place[node] * 1e6 + self._start) % 1.0
        return self.asked[node] + (_SITTING_OUT if drawn > UNDER_COVERED / mentions else 0)
