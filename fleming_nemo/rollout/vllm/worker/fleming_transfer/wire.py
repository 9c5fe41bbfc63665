"""How tensors travel: packed into flat buckets of bytes by a plan that both sides compute from names and shapes.

A bucket holds rows of tensors, in order; a tensor larger than the room that is left goes on in the next bucket, so no
bucket is larger than agreed, whatever the model.  Each ends with a seal: its number and a checksum of its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ALIGNMENT = 64
"""Bytes; a tensor of any type can be viewed where it begins."""
SEAL_BYTES = 16

_ROW_WORDS = 512


@dataclass(frozen=True)
class Entry:
    """One tensor of the Hugging Face model, whole.

    Attributes:
        dtype: torch's name of the type, `bfloat16`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.torch_dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.shape[0] * self.row_bytes

    @property
    def torch_dtype(self) -> torch.dtype:
        found = getattr(torch, self.dtype, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"{self.name}: {self.dtype!r} is no type of tensors")
        return found


@dataclass(frozen=True)
class Span:
    """Rows start:stop of the entry of index `entry`, from byte `offset` of a bucket on."""

    entry: int
    start: int
    stop: int
    offset: int


@dataclass(frozen=True)
class Plan:
    """What goes into which bucket."""

    entries: tuple[Entry, ...]
    bucket_bytes: int
    buckets: tuple[tuple[Span, ...], ...]

    @property
    def nbytes(self) -> int:
        """Of all tensors, without padding and seals."""
        return sum(entry.nbytes for entry in self.entries)

    def size(self, bucket: int) -> int:
        """Bytes of a bucket with its seal."""
        last = self.buckets[bucket][-1]
        end = last.offset + (last.stop - last.start) * self.entries[last.entry].row_bytes
        return _aligned(end) + SEAL_BYTES

    def view(self, buffer: Tensor, span: Span) -> Tensor:
        """The span's rows inside the bytes of its bucket, as a tensor of its type and shape."""
        entry = self.entries[span.entry]
        rows = span.stop - span.start
        flat = buffer[span.offset : span.offset + rows * entry.row_bytes]
        return flat.view(entry.torch_dtype).view(rows, *entry.shape[1:])

    def announce(self) -> dict[str, Any]:
        """For a request in JSON; `from_announcement` reads it."""
        return {
            "names": [entry.name for entry in self.entries],
            "dtype_names": [entry.dtype for entry in self.entries],
            "shapes": [list(entry.shape) for entry in self.entries],
            "bucket_bytes": self.bucket_bytes,
            "bucket_sizes": [self.size(n) for n in range(len(self.buckets))],
        }


def plan(entries: Sequence[Entry], bucket_bytes: int) -> Plan:
    """Buckets of at most `bucket_bytes` without the seal, filled in order.

    Raises:
        ValueError: one row of a tensor is larger than a bucket, or a tensor is empty.
    """
    buckets: list[list[Span]] = []
    at = bucket_bytes
    for number, entry in enumerate(entries):
        if not entry.shape or not entry.nbytes or entry.row_bytes > bucket_bytes:
            raise ValueError(f"{entry.name} of shape {entry.shape} does not fit into buckets of {bucket_bytes} bytes")
        row = 0
        while row < entry.shape[0]:
            at = _aligned(at)
            room = (bucket_bytes - at) // entry.row_bytes
            if room <= 0:
                buckets.append([])
                at = 0
                continue
            rows = min(room, entry.shape[0] - row)
            buckets[-1].append(Span(number, row, row + rows, at))
            at += rows * entry.row_bytes
            row += rows
    return Plan(tuple(entries), bucket_bytes, tuple(map(tuple, buckets)))


def from_announcement(told: dict[str, Any]) -> Plan:
    """The plan of the sender. Raises ValueError where this side would cut the stream in another way."""
    columns = zip(told["names"], told["dtype_names"], told["shapes"], strict=True)
    found = plan([Entry(name, dtype, tuple(shape)) for name, dtype, shape in columns], told["bucket_bytes"])
    if [found.size(n) for n in range(len(found.buckets))] != told["bucket_sizes"]:
        raise ValueError("trainer and engine cut the weights into different buckets; install the same version on both")
    return found


def checksum(data: Tensor) -> int:
    """A 64-bit sum over the bytes of a tensor, in which every row of 4 KiB has an odd weight of its own.

    Finds any changed word and rows that changed places; one pass over the memory, on any device.  It guards against
    mistakes, not against an adversary: nobody without the run's key can send weights.
    """
    raw = data.contiguous().view(-1).view(torch.uint8)
    whole = raw.numel() // (8 * _ROW_WORDS) * 8 * _ROW_WORDS
    rest = torch.zeros(_ROW_WORDS * 8, dtype=torch.uint8, device=raw.device)
    rest[: raw.numel() - whole] = raw[whole:]
    sums = torch.cat([raw[:whole].view(torch.int64).view(-1, _ROW_WORDS).sum(1), rest.view(torch.int64).sum()[None]])
    weights = torch.arange(len(sums), device=raw.device) * 2654435762 + 2654435761
    return int((sums * weights).sum())


def seal(bucket: Tensor, number: int) -> int:
    """Write number and checksum into the last bytes of a bucket; returns the checksum."""
    body = bucket[:-SEAL_BYTES]
    found = checksum(body)
    mark = torch.tensor([number, found], dtype=torch.int64)
    bucket[-SEAL_BYTES:].copy_(mark.view(torch.uint8))
    return found


def check_seal(bucket: Tensor, number: int) -> int:
    """The checksum of a bucket. Raises ValueError where it is not the one that its sender wrote."""
    told_number, told = bucket[-SEAL_BYTES:].cpu().clone().view(torch.int64).tolist()
    found = checksum(bucket[:-SEAL_BYTES])
    if (told_number, told) != (number, found):
        raise ValueError(f"bucket {number} arrived damaged (checksum {found:#x}, sent as {told_number}: {told:#x})")
    return found


def chain(digest: int, part: int) -> int:
    """A digest of checksums in order, below 2**63."""
    return (digest * 1_000_003 + part) % (2**63)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
