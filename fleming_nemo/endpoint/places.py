"""Where in a file the reply to a question stands: a hash table in two flat arrays, about 27 bytes a reply."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

_FIRST_SIZE = 1 << 10
_FREE = 0


class Places:
    """Offsets by SHA-256 digest, of which the first 8 bytes are kept: whoever reads the place checks the rest.

    Open addressing with linear probing, at most 3/5 full. Offsets are positive.
    """

    def __init__(self) -> None:
        self._keys, self._offsets = _table(_FIRST_SIZE)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, digest: str, offset: int) -> None:
        if 5 * (self._count + 1) > 3 * len(self._keys):
            self._grow()
        self._put(_prefix(digest), offset)
        self._count += 1

    def find(self, digest: str) -> Iterator[int]:
        """Offsets of all digests that begin as this one does."""
        key, mask = _prefix(digest), len(self._keys) - 1
        slot = key & mask
        while (offset := self._offsets[slot]) != _FREE:
            if self._keys[slot] == key:
                yield offset
            slot = (slot + 1) & mask

    def _put(self, key: int, offset: int) -> None:
        mask = len(self._keys) - 1
        slot = key & mask
        while self._offsets[slot] != _FREE:
            slot = (slot + 1) & mask
        self._keys[slot], self._offsets[slot] = key, offset

    def _grow(self) -> None:
        keys, offsets = self._keys, self._offsets
        self._keys, self._offsets = _table(2 * len(keys))
        for key, offset in zip(keys, offsets, strict=True):
            if offset != _FREE:
                self._put(key, offset)


def _table(size: int) -> tuple[array[int], array[int]]:
    return array("Q", bytes(8 * size)), array("Q", bytes(8 * size))


def _prefix(digest: str) -> int:
    return int(digest[:16], 16)
