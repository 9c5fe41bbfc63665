"""A part of a corpus: some thousand documents in one file, with a marker beside it that says what is inside.

The file holds lengths (int32), checksums (uint32), tokens and mask one after the other.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, write_json


def checksum(tokens: Any, mask: Any) -> int:
    """CRC-32 of a document, given as bytes or contiguous arrays: its tokens as stored, then its mask."""
    return zlib.crc32(mask, zlib.crc32(tokens))


@dataclass
class Marker:
    """What a finished part contains."""

    documents: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    token_bytes: int = 0
    crc32: int = 0
    """Of the whole file."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Where the documents came from, and why others were left out."""


@dataclass(frozen=True)
class Stored:
    """The columns of a part."""

    marker: Marker
    lengths: np.ndarray
    checksums: np.ndarray
    tokens: bytes | memoryview
    mask: bytes | memoryview

    def save(self, file: Path) -> None:
        """Write the part, then its marker, each under its final name only when it is whole."""
        content = b"".join([self.lengths.tobytes(), self.checksums.tobytes(), self.tokens, self.mask])
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        temporary.write_bytes(content)
        os.replace(temporary, file)
        write_json(marker_of(file), asdict(self.marker) | {"crc32": zlib.crc32(content)})


class Part:
    """Documents in memory, to become columns together."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._sums: list[int] = []
        self._tokens: list[bytes] = []
        self._masks: list[bytes] = []

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, tokens: bytes, mask: bytes) -> None:
        """One document: ids in the corpus's type, and one byte of mask for each."""
        self._lengths.append(len(mask))
        self._sums.append(checksum(tokens, mask))
        self._tokens.append(tokens)
        self._masks.append(mask)

    def stored(self, counts: dict[str, Any] | None = None) -> Stored:
        tokens, mask = b"".join(self._tokens), b"".join(self._masks)
        marker = Marker(
            documents=len(self),
            tokens=len(mask),
            trained_tokens=mask.count(1),
            longest=max(self._lengths, default=0),
            token_bytes=len(tokens),
            counts=counts or {},
        )
        return Stored(marker, np.array(self._lengths, "<i4"), np.array(self._sums, "<u4"), tokens, mask)


def marker_of(file: Path) -> Path:
    return file.with_suffix(".json")


def is_whole(file: Path) -> bool:
    return marker_of(file).is_file() and file.is_file()


def load(file: Path) -> Stored:
    """Read a part; a UserError where it is not what was written (its marker is then gone, so that it is made again)."""
    content = file.read_bytes()
    marker = Marker(**read_json(marker_of(file)))
    if zlib.crc32(content) != marker.crc32:
        marker_of(file).unlink()
        raise UserError(f"{file} changed after it was written; check the disk and run the same command again")
    columns = np.frombuffer(content, "<u4", count=2 * marker.documents)
    view = memoryview(content)[8 * marker.documents :]
    return Stored(
        marker,
        lengths=columns[: marker.documents].view("<i4"),
        checksums=columns[marker.documents :],
        tokens=view[: marker.token_bytes],
        mask=view[marker.token_bytes :],
    )
