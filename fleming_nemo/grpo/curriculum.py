"""Which questions a step trains on: pools, mixed in a fixed ratio.

    stage 1   Easy : Moderate = 1 : 1
    stage 2   Right : Wrong   = 1 : 2, by what the stage-1 policy made of the whole pool (`mining`)

The draw is a pure function of seed and step, so that a resumed run sees the questions it would have seen.  Each pool is
gone through in shuffled epochs; over any number of steps the pools' shares differ from the ratio by less than one item.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.order import take


class Curriculum:
    """Mixture of question pools.

    Args:
        pools: name -> questions, in the order of `mix`.
        mix: whole-number weights of the pools.
        seed: order of the questions.
    """

    def __init__(self, pools: dict[str, list[QAItem]], mix: Sequence[int], seed: int) -> None:
        self.pools = list(pools.values())
        self.seed = seed
        weights = [weight if pool else 0 for weight, pool in zip(mix, self.pools, strict=True)]
        if not any(weights):
            raise UserError(f"no questions to train on: the pools {', '.join(pools)} are empty or have weight 0")
        self._bounds = [0, *accumulate(weights)]

    def draw(self, step: int, count: int) -> list[QAItem]:
        """The `count` questions of a step (from 0)."""
        drawn: list[QAItem] = []
        for number, pool in enumerate(self.pools):
            start, stop = (self._taken(number, n) for n in (step * count, (step + 1) * count))
            if stop > start:
                drawn += [pool[i] for i in take(start, stop - start, len(pool), self.seed + number)]
        return drawn

    def _taken(self, number: int, total: int) -> int:
        """How many of the first `total` questions of the run come from pool `number`."""
        low, high, all_weights = self._bounds[number], self._bounds[number + 1], self._bounds[-1]
        return total * high // all_weights - total * low // all_weights


def easy_and_moderate(items: Sequence[QAItem]) -> dict[str, list[QAItem]]:
    """Pools of stage 1.  A pool without questions of either tier is an error, not another curriculum."""
    pools = {tier: [item for item in items if item.difficulty == tier] for tier in ("easy", "moderate")}
    for tier, pool in pools.items():
        if not pool:
            raise UserError(f"the reinforcement-learning pool has no {tier} question; label difficulties first")
    return pools
