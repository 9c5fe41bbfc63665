"""Hashes of ranges and sliding windows over arrays, all with numpy and without a seed: the same on every machine."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


def mix(values: U64) -> U64:
    """The finaliser of splitmix64: a bijection that spreads every input bit over all output bits."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@lru_cache(maxsize=4)
def _powers(base: int, bits: int) -> U64:
    table = np.full(1 << bits, np.uint64(base))
    table[0] = 1
    return np.cumprod(table, dtype=np.uint64)


def _power(base: int, exponents_below: int) -> U64:
    return _powers(base, max(int(exponents_below).bit_length(), 12))


class RangeHash:
    """Polynomial hash modulo 2**64 of any range of an array, each in constant time (Karp and Rabin 1987)."""

    def __init__(self, values: U64 | NDArray[np.uint32]) -> None:
        self._sums = np.zeros(len(values) + 1, np.uint64)
        terms = self._sums[1:]
        np.multiply(values, _power(_BASE, len(values))[: len(values)], out=terms)
        np.cumsum(terms, out=terms)

    def of(self, starts: Ints, ends: Ints) -> U64:
        """Hash of every values[start:end]; equal ranges have equal hashes wherever they stand."""
        inverse = _power(_INVERSE, len(self._sums))
        return mix((self._sums[ends] - self._sums[starts]) * inverse[starts])

    def windows(self, width: int) -> U64:
        """Hash of every values[i:i+width]."""
        count = max(0, len(self._sums) - width)
        inverse = _power(_INVERSE, len(self._sums))[:count]
        return mix((self._sums[width : width + count] - self._sums[:count]) * inverse)


def window_starts(offsets: Ints, width: int) -> Ints:
    """Positions i whose window [i, i + width) lies within one of the rows [offsets[r], offsets[r + 1])."""
    counts = np.maximum(np.diff(offsets) - width + 1, 0)
    return expand(offsets[:-1], counts)


def expand(starts: Ints, counts: Ints) -> Ints:
    """starts[0], starts[0] + 1, ... counts[0] of them, then the next row."""
    before = np.cumsum(counts) - counts
    return np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(starts - before, counts)


def summed(owner: Ints, weights: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Sum of the weights of every owner 0, 1, ... count - 1."""
    return np.bincount(owner, weights, minlength=count).astype(np.float64)


def unique_pairs(rows: Ints, words: U64) -> Ints:
    """Positions of the first of every equal (row, word), ordered by row and word."""
    order = np.lexsort((words, rows))
    if not len(order):
        return order
    r, w = rows[order], words[order]
    return order[np.concatenate(([True], (r[1:] != r[:-1]) | (w[1:] != w[:-1])))]
