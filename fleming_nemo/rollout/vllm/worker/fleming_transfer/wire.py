"""How tensors travel: packed into flat buckets of bytes by a plan that both sides compute from names and shapes.

A bucket holds whole tensors, in order, or rows of one that is larger than a bucket: so no bucket is larger than agreed,
whatever the model, and whoever receives can put every byte at once where the tensor will be read.  To each belongs a
seal: its number and a checksum of its bytes.
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
        return last.offset + (last.stop - last.start) * self.entries[last.entry].row_bytes + SEAL_BYTES

    def parted(self, bucket: int) -> tuple[Entry, int, int] | None:
        """A tensor that goes over several buckets, and the rows of it that this one is; None for whole tensors."""
        first = self.buckets[bucket][0]
        entry = self.entries[first.entry]
        return None if first.stop - first.start == entry.shape[0] else (entry, first.start, first.stop)

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
    """Buckets of at most `bucket_bytes` without the seal, filled in order; larger tensors in parts of equal size.

    Raises:
        ValueError: one row of a tensor is larger than a bucket, or a tensor is empty.
    """
    buckets: list[list[Span]] = []
    at = bucket_bytes
    for number, entry in enumerate(entries):
        if not entry.shape or not entry.nbytes or entry.row_bytes > bucket_bytes:
            raise ValueError(f"{entry.name} of shape {entry.shape} does not fit into buckets of {bucket_bytes} bytes")
        if entry.nbytes > bucket_bytes:
            rows = _rows_of_a_part(entry, bucket_bytes)
            buckets += [[Span(number, n, min(n + rows, entry.shape[0]), 0)] for n in range(0, entry.shape[0], rows)]
            at = bucket_bytes
            continue
        at = _aligned(at)
        if at + entry.nbytes > bucket_bytes:
            buckets.append([])
            at = 0
        buckets[-1].append(Span(number, 0, entry.shape[0], at))
        at += entry.nbytes
    return Plan(tuple(entries), bucket_bytes, tuple(map(tuple, buckets)))


def _rows_of_a_part(entry: Entry, bucket_bytes: int) -> int:
    """Parts of about the same size, which begin at aligned bytes of the tensor wherever that is possible."""
    most = bucket_bytes // entry.row_bytes
    rows = -(-entry.shape[0] // -(-entry.shape[0] // most))
    step = ALIGNMENT // math.gcd(entry.row_bytes, ALIGNMENT)
    stepped = -(-rows // step) * step
    return stepped if stepped <= most else rows


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
    if raw.storage_offset() % 8:  # words of 8 bytes can be read only where they begin
        raw = raw.clone()
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


def check_seal(body: Tensor, seal: Tensor, number: int) -> int:
    """The checksum of a bucket's bytes. Raises ValueError where it is not the one that its sender wrote."""
    told_number, told = seal.cpu().clone().view(torch.int64).tolist()
    found = checksum(body)
    if (told_number, told) != (number, found):
        raise ValueError(f"bucket {number} arrived damaged (checksum {found:#x}, sent as {told_number}: {told:#x})")
    return found


def chain(digest: int, part: int) -> int:
    """A digest of checksums in order, below 2**63."""
    return (digest * 1_000_003 + part) % (2**63)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
