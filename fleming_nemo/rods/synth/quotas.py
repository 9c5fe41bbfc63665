"""Shares of the questions by family and by number of options, kept up by always serving what is furthest behind."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")

# Share of questions by number of options; 4, 5, 10 and 21 are what the benchmarks have.
# Lists that fall short of 21 fill the numbers just below it by themselves.
SIZES = dict.fromkeys(range(2, 10), 0.03) | dict.fromkeys(range(11, 21), 0.005) | {4: 0.30, 5: 0.18, 10: 0.14, 21: 0.15}
# A list that yields nothing counts as half a question, so that what can hardly be asked does not take all the time.
_COST = 0.5


def filled(shares: Mapping[Key, float], limits: Mapping[Key, float]) -> dict[Key, float]:
    """Shares of one whole, none above its limit; what one cannot take goes to the others in proportion."""
    left, weight, given = 1.0, sum(shares.values()), dict[Key, float]()
    for key in sorted(shares, key=lambda key: limits[key] / shares[key]):
        given[key] = min(left * shares[key] / weight, limits[key])
        left -= given[key]
        weight -= shares[key]
    return {key: given[key] for key in shares}


class Quotas(Generic[Key]):
    def __init__(self, shares: Mapping[Key, float]) -> None:
        self._shares = {key: share for key, share in shares.items() if share > 0}
        self._spent: dict[Key, float] = dict.fromkeys(self._shares, 0.0)

    def __bool__(self) -> bool:
        return bool(self._shares)

    def next(self) -> Key:
        """What is furthest behind its share."""
        return min(self._shares, key=lambda key: self._spent[key] / self._shares[key])

    def spend(self, key: Key, made: int) -> None:
        self._spent[key] += made + _COST


class Sizes:
    """Numbers of options: drawn at random, those more often that are behind their share."""

    _START = 200

    def __init__(self) -> None:
        self._made: Counter[int] = Counter()

    def draw(self, most: int, rng: random.Random) -> int:
        """2 to `most` options, by list: a long list makes many questions and is drawn more seldom."""
        total = self._made.total() + self._START
        behind = {n: max(share * total - self._made[n], share) / n for n, share in SIZES.items() if n <= most}
        return rng.choices(list(behind), list(behind.values()))[0]

    def made(self, size: int) -> None:
        """A list of `size` options, hence as many questions."""
        self._made[size] += size
