"""The order of questions: pools, mixed in a fixed ratio, each gone through in shuffled epochs.

The stream is a pure function of pools, ratio, seed and position, so that a resumed run sees the questions it would have
seen.  Over any stretch of the stream from its start, the pools' shares differ from the ratio by less than one question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.order import take


@dataclass(frozen=True)
class Pool:
    """Questions, and how often each of them comes in an epoch (all once where nothing else is said)."""

    items: Sequence[QAItem]
    weights: Sequence[int] | None = None

    def epoch(self) -> list[QAItem]:
        """Every question as often as its weight says."""
        if self.weights is None:
            return list(self.items)
        return [item for item, weight in zip(self.items, self.weights, strict=True) for _ in range(weight)]


class Mixture:
    """Mixture of question pools.

    Args:
        pools: name -> questions, in the order of `mix`; an empty pool leaves its share to the other.
        mix: whole-number shares of the pools.
        seed: order of the questions.

    Raises:
        UserError: there is no question with a share above 0.
    """

    def __init__(self, pools: dict[str, Pool], mix: Sequence[int], seed: int) -> None:
        self.seed = seed
        self._epochs = [pool.epoch() for pool in pools.values()]
        shares = [share if epoch else 0 for share, epoch in zip(mix, self._epochs, strict=True)]
        if not any(shares):
            raise UserError(f"no questions to train on: the pools {', '.join(pools)} are empty or have weight 0")
        self._bounds = [0, *accumulate(shares)]

    def draw(self, start: int, count: int) -> list[QAItem]:
        """The questions at positions `start` to `start + count` of the stream, pool by pool."""
        drawn: list[QAItem] = []
        for number, epoch in enumerate(self._epochs):
            first, last = self._taken(number, start), self._taken(number, start + count)
            if last > first:
                drawn += [epoch[i] for i in take(first, last - first, len(epoch), self.seed + number)]
        return drawn

    def _taken(self, number: int, total: int) -> int:
        """How many of the first `total` questions of the stream come from pool `number`."""
        low, high, all_shares = self._bounds[number], self._bounds[number + 1], self._bounds[-1]
        return total * high // all_shares - total * low // all_shares


def easy_and_moderate(items: Sequence[QAItem]) -> dict[str, Pool]:
    """Pools of stage 1.  A pool without questions of either tier is an error, not another curriculum."""
    pools = {tier: [item for item in items if item.difficulty == tier] for tier in ("easy", "moderate")}
    for tier, pool in pools.items():
        if not pool:
            raise UserError(f"the reinforcement-learning pool has no {tier} question; label difficulties first")
    return {tier: Pool(pool) for tier, pool in pools.items()}
