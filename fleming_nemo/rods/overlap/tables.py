"""Lookup of 64-bit hashes in sorted arrays: a directory over the leading bits leaves one or two keys to compare."""

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.hashing import U64, Ints, expand

_MOST_BITS = 24
_ODD = np.uint64(0x9E3779B97F4A7C15)


class KeyTable:
    """Rows of distinct keys. Keys must be evenly spread hashes: a bucket is what shares their leading bits."""

    def __init__(self, keys: U64) -> None:
        """From keys in ascending order, each once."""
        bits = min(max(len(keys).bit_length() + 1, 8), _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        buckets = (keys >> self._shift).astype(np.int64)
        self._first = np.searchsorted(buckets, np.arange((1 << bits) + 1)).astype(np.int32)
        self._fullest = int(np.diff(self._first).max(initial=0))
        # One more key, so that the row after the last can be read; what would be looked for there is greater than it.
        self._keys = np.append(keys, keys[-1:])
        self._count = len(keys)

    def __len__(self) -> int:
        return self._count

    def find(self, keys: U64) -> Ints:
        """The row of every key, -1 for a key that is not in the table."""
        if not self._count:
            return np.full(len(keys), -1, np.int64)
        bucket = (keys >> self._shift).astype(np.int64)
        at = self._first[bucket].astype(np.int64)
        rows = np.where(self._keys[at] == keys, at, -1)
        if self._fullest > 1:
            left = np.flatnonzero((rows < 0) & (self._first[bucket + 1] - at > 1))
            ends = self._first[bucket[left] + 1]
            for step in range(1, self._fullest):
                place = at[left] + step
                found = self._keys[place] == keys[left]
                rows[left[found]] = place[found]
                more = ~found & (place + 1 < ends)
                left, ends = left[more], ends[more]
        return rows


class HashIndex:
    """Where a hash occurs: a bitmap that rejects most strangers in one look, then a sorted list."""

    def __init__(self, keys: U64, values: Ints) -> None:
        order = np.lexsort((values, keys))
        keys, self._values = keys[order], values[order]
        fresh = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, bool))
        self._starts = np.append(fresh, len(keys))
        self._table = KeyTable(keys[fresh])
        bits = min(max(int(len(fresh) * 8).bit_length(), 10), _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._seen = np.zeros(1 << bits, bool)
        self._seen[(keys >> self._shift).astype(np.int64)] = True

    def lookup(self, keys: U64) -> tuple[Ints, Ints]:
        """All (position in `keys`, value) pairs, ordered by position and value."""
        near = np.flatnonzero(self._seen[(keys >> self._shift).astype(np.int64)])
        rows = self._table.find(keys[near])
        known = rows >= 0
        near, rows = near[known], rows[known]
        counts = self._starts[rows + 1] - self._starts[rows]
        return np.repeat(near, counts), self._values[expand(self._starts[rows], counts)]


class Members:
    """Whether (owner, word) is in a set; says yes wrongly about once in a hundred."""

    def __init__(self, owner: Ints, word: Ints) -> None:
        self._shift = np.uint64(64 - min(max(int(100 * len(owner)).bit_length(), 10), _MOST_BITS))
        self._table = np.zeros(1 << (64 - int(self._shift)), bool)
        self._table[self._place(owner, word)] = True

    def _place(self, owner: Ints, word: Ints) -> Ints:
        mixed = (owner.astype(np.uint64) << np.uint64(32) | word.astype(np.uint64)) * _ODD
        return (mixed >> self._shift).astype(np.int64)

    def has(self, owner: Ints, word: Ints) -> NDArray[np.bool_]:
        return self._table[self._place(owner, word)]
