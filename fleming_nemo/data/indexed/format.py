"""The `.idx` file of Megatron's indexed datasets, written and read without megatron-core (and so without torch).

Layout, all little-endian (megatron-core 0.16 to 0.19, `megatron.core.datasets.indexed_dataset`): 9 bytes of magic,
version as uint64, type code as uint8, number of sequences and of document ends as uint64; then int32 lengths, int64
byte offsets into the `.bin` file, and int64 document ends, the first of which is 0.  A document here is one sequence.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from fleming_nemo.config.errors import UserError

_MAGIC = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1)
_HEAD = len(_MAGIC) + 1 + 16
_CODES: dict[np.dtype, int] = {np.dtype("<u1"): 1, np.dtype("<i4"): 4, np.dtype("<u2"): 8}
_LARGEST_UINT16 = 65_500  # megatron-core's limit, a little below what the type holds
_STRETCH = 1 << 18  # documents handled at a time: memory stays the same for any number of them


def token_dtype(vocabulary: int) -> np.dtype:
    """What Megatron stores ids of so large a vocabulary in."""
    return np.dtype("<u2") if vocabulary < _LARGEST_UINT16 else np.dtype("<i4")


def write_index(file: Path, lengths: np.ndarray, dtype: np.dtype) -> None:
    """Write the index of sequences of these lengths (tokens) in elements of `dtype`; `lengths` may be memory-mapped."""
    count = len(lengths)
    stretches = [slice(start, min(start + _STRETCH, count)) for start in range(0, count, _STRETCH)]
    with open(file, "wb") as out:
        out.write(_MAGIC + struct.pack("<BQQ", _CODES[dtype], count, count + 1))
        for part in stretches:
            out.write(np.asarray(lengths[part], "<i4").tobytes())
        start = 0
        for part in stretches:
            ends = start + np.cumsum(lengths[part], dtype="<i8") * dtype.itemsize
            out.write(np.concatenate([np.array([start], "<i8"), ends[:-1]]).tobytes())
            start = int(ends[-1])
        out.write(struct.pack("<q", 0))
        for part in stretches:
            out.write(np.arange(part.start + 1, part.stop + 1, dtype="<i8").tobytes())
        out.flush()
        os.fsync(out.fileno())


class Index:
    """A memory-mapped `.idx` file.

    Attributes:
        dtype: of the elements of the `.bin` file.
        lengths: tokens of each sequence.
        offsets: byte at which each sequence starts.

    Raises:
        UserError: the file is no index, or its parts contradict each other.
    """

    def __init__(self, file: Path) -> None:
        # a plain array over the map: every slice of np.memmap would be an object of that class, at ten times the cost
        raw = np.asarray(np.memmap(file, mode="r")) if file.stat().st_size else np.empty(0, np.uint8)
        head = raw[:_HEAD].tobytes()
        types: dict[int, np.dtype] = {code: dtype for dtype, code in _CODES.items()}
        if len(head) < _HEAD or not head.startswith(_MAGIC) or head[len(_MAGIC)] not in types:
            raise UserError(f"{file} is no index of a Megatron dataset; build the corpus again")
        self.dtype: np.dtype = types[head[len(_MAGIC)]]
        count, ends = struct.unpack_from("<QQ", head, len(_MAGIC) + 1)
        if ends != count + 1 or len(raw) != _HEAD + 12 * count + 8 * ends:
            raise UserError(f"{file} has {len(raw)} bytes, which do not hold its {count} sequences; build it again")
        self.lengths = raw[_HEAD : _HEAD + 4 * count].view("<i4")
        self.offsets = raw[_HEAD + 4 * count : _HEAD + 12 * count].view("<i8")

    def __len__(self) -> int:
        return len(self.lengths)

    def check(self, file: Path) -> None:
        """Raise a UserError where `file`, the `.bin` file, is not the one that this index describes."""
        expected = 0
        for start in range(0, len(self), _STRETCH):
            part = slice(start, start + _STRETCH)
            ends = expected + np.cumsum(self.lengths[part], dtype=np.int64) * self.dtype.itemsize
            if self.lengths[part].min() <= 0 or not np.array_equal(
                self.offsets[part], np.concatenate([[expected], ends[:-1]])
            ):
                raise UserError(f"{file.with_suffix('.idx')} is corrupt near sequence {start}; build the corpus again")
            expected = int(ends[-1])
        if file.stat().st_size != expected:
            raise UserError(
                f"{file} has {file.stat().st_size} bytes and {file.stem}.idx describes {expected}: they are of "
                "different builds; build the corpus again"
            )
