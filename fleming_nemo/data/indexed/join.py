"""Chains and the items they belong to, read side by side from two JSONL files of any size.

`scan` cuts the chains into stretches of equal numbers of lines and finds where in the items file each begins.  Chains
normally stand in the order of their items (some of which have none, some several), and one pass over both files is
enough.  Where they do not, an index of the items is built on disk and every item looked up.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fleming_nemo.config.errors import UserError

LINES = 2048
"""Chains of a stretch; a constant, as a stretch becomes a part, and parts must not depend on the workers."""
_BY_INDEX = -1


@dataclass(frozen=True)
class Stretch:
    """Lines `line` (from 1) .. `line + count` of the chains, at byte `offset`; items from `items_offset` on."""

    number: int
    line: int
    count: int
    offset: int
    items_line: int
    items_offset: int


@dataclass(frozen=True)
class Inputs:
    """The two files."""

    items: Path
    chains: Path
    index: Path
    """Where the index of the items is written, if one is needed."""


def scan(inputs: Inputs) -> Iterator[Stretch]:
    """Stretches in the order of the chains; a UserError for a line that is no JSON object with an id."""
    with _open(inputs.chains, "distill_cot.py") as chains, _open(inputs.items, "build_rods.py") as file:
        items: _Lines | None = _Lines(inputs.items, "id", file)
        lines = _Lines(inputs.chains, "item_id", chains)
        number = 0
        while lines.read():
            line, offset = lines.number, lines.offset
            if items and not items.seek(lines.id):
                items = None
            items_line, items_offset = (items.number, items.offset) if items else (0, _BY_INDEX)
            while lines.number - line + 1 < LINES and lines.read():
                if items and not items.seek(lines.id):
                    items, items_offset = None, _BY_INDEX
            if items_offset == _BY_INDEX and not inputs.index.exists():
                _write_index(inputs)
            yield Stretch(number, line, lines.number - line + 1, offset, items_line, items_offset)
            number += 1


def _open(path: Path, script: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; write it with data_prep/{script}") from error


_FIRST = {key: re.compile(rb'\{"%s": ?"([^"\\]+)"' % key.encode()) for key in ("id", "item_id")}


class _Lines:
    """The current line of a file: its number from 1, the byte it starts at, and the id in it."""

    def __init__(self, path: Path, key: str, file: BinaryIO, line: int = 1, offset: int = 0) -> None:
        file.seek(offset)
        self._path, self._key, self._file = path, key, file
        self.number, self.offset, self.text, self.id = line - 1, offset, b"", ""

    def read(self) -> bool:
        text = self._file.readline()
        if not text:
            return False
        self.offset += len(self.text)
        self.number, self.text = self.number + 1, text
        self.id = id_of(text, self._key, self._path, self.number)
        return True

    def seek(self, wanted: str) -> bool:
        """Go on to the line of this id, or to the end of the file; the current line counts."""
        while self.id != wanted:
            if not self.read():
                return False
        return True


def id_of(line: bytes, key: str, path: Path, number: int) -> str:
    """The item's id under this key, without parsing the line where the key comes first."""
    try:
        if found := _FIRST[key].match(line):
            return found[1].decode()
        id_ = json.loads(line)[key]
        if not isinstance(id_, str):
            raise TypeError(f"an id is a string, found {id_!r}")
        return id_
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}, line {number}: no JSON object with an id ({error}); write the file again") from error


def _key(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "little")


def _write_index(inputs: Inputs) -> None:
    """Hash of the id, byte and number of every item's line, sorted: 24 bytes for each."""
    keys, offsets, numbers = array("Q"), array("q"), array("q")
    with open(inputs.items, "rb") as file:
        lines = _Lines(inputs.items, "id", file)
        while lines.read():
            keys.append(_key(lines.id))
            offsets.append(lines.offset)
            numbers.append(lines.number)
    columns = [np.frombuffer(column, "<u8") for column in (keys, offsets, numbers)]
    order = np.argsort(columns[0], kind="stable")
    temporary = inputs.index.with_suffix(".tmp.npy")
    np.save(temporary, np.stack([column[order] for column in columns]))
    temporary.replace(inputs.index)


def finder(inputs: Inputs, stretch: Stretch, items: BinaryIO) -> Callable[[str], tuple[bytes, int]]:
    """A function from the id of a chain to the line of its item and the number of that line.

    Ids are asked for in the order of the chains.  The function raises KeyError for an id without an item.
    """
    if stretch.items_offset == _BY_INDEX:
        return _Lookup(inputs, items)
    lines = _Lines(inputs.items, "id", items, stretch.items_line, stretch.items_offset)

    def next_of(wanted: str) -> tuple[bytes, int]:
        if not lines.seek(wanted):
            raise KeyError(wanted)
        return lines.text, lines.number

    return next_of


class _Lookup:
    def __init__(self, inputs: Inputs, items: BinaryIO) -> None:
        self._path, self._items = inputs.items, items
        self._keys, self._offsets, self._numbers = np.asarray(np.load(inputs.index, mmap_mode="r"))

    def __call__(self, wanted: str) -> tuple[bytes, int]:
        key = np.uint64(_key(wanted))
        at = int(np.searchsorted(self._keys, key))
        while at < len(self._keys) and self._keys[at] == key:  # two ids may have one hash
            self._items.seek(int(self._offsets[at]))
            line, number = self._items.readline(), int(self._numbers[at])
            if id_of(line, "id", self._path, number) == wanted:
                return line, number
            at += 1
        raise KeyError(wanted)
