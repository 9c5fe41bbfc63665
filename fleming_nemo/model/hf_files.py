"""The safetensors files of a Hugging Face folder: read by slices, written tensor by tensor.

Reading maps the files into memory: what is not asked for is not read, and what was read the system can drop again.
Writing needs no more memory than one tensor, however large the file: names, shapes and types are known beforehand, so
the header goes first.  Format: https://github.com/huggingface/safetensors (8 bytes with the length of the header, the
header in JSON, then the bytes of the tensors).
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fleming_nemo.config.errors import UserError

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""Types of weights by their safetensors name; quantised ones need scales that no tensor of ours has a place for."""

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@dataclass(frozen=True)
class Entry:
    """What the header says about one tensor."""

    key: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class WeightFolder:
    """The tensors of a folder, from one file or from the shards that its index names.

    Attributes:
        entries: by name.

    Raises:
        UserError: no weights, a file that is missing, cut off or not safetensors, a tensor that two files hold or that
            the index puts elsewhere, or a type that is not a plain floating-point number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._handles: dict[str, Any] = {}
        index = _read_index(folder)
        for file in _files(folder, index):
            try:
                handle = safe_open(file, framework="pt")
            except (SafetensorError, OSError) as error:
                raise UserError(f"{file} is cut off or damaged ({error}); copy it again") from error
            for key in handle.keys():  # noqa: SIM118 (not a dict)
                if index is not None and index.get(key) != file.name:
                    where = f"which {INDEX} puts into {index[key]}" if key in index else f"which {INDEX} does not know"
                    raise UserError(f"{file} has a tensor {key}, {where}; copy the folder again")
                if key in self.entries:
                    raise UserError(f"{folder} has the tensor {key} in two files; delete the file that is too much")
                stored = handle.get_slice(key)
                self.entries[key] = Entry(key, stored.get_dtype(), tuple(stored.get_shape()))
                self._handles[key] = handle
                if self.entries[key].dtype not in DTYPES:
                    raise UserError(
                        f"{file}: {key} is of type {self.entries[key].dtype}; only {', '.join(DTYPES)} weights can be "
                        "loaded, so give model.weights a folder without quantisation"
                    )
        if index is not None and (missing := sorted(index.keys() - self.entries.keys())):
            raise UserError(
                f"{folder / index[missing[0]]} has no tensor {missing[0]}, which {INDEX} puts there; "
                "copy the folder again"
            )

    def cut(self, key: str, axis: int | None, start: int, stop: int) -> Tensor:
        """Elements start:stop along `axis` (all where it is None) as a view of the mapped file."""
        stored = self._handles[key].get_slice(key)
        if axis is None:
            return stored[:]
        return stored[start:stop] if axis == 0 else stored[:, start:stop]


class ShardWriter:
    """Writes one safetensors file in the order of `entries`.

    Other ranks wait in collective operations for the one that writes, so an error is kept in `error` and what follows
    is not written; who asks for the tensors looks at it in the end.
    """

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self.path = path
        self.error: OSError | None = None
        self._waiting = list(entries)
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for entry in entries:
            ends = [offset, offset := offset + entry.nbytes]
            header[entry.key] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": ends}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the data starts aligned
        self.nbytes = 8 + len(text) + offset
        self._file: io.BufferedWriter | None = None
        self._try(lambda: self._open(len(text).to_bytes(8, "little") + text))

    def write(self, tensor: Tensor) -> None:
        """Append the next tensor, which must be what its entry says."""
        entry = self._waiting.pop(0)
        if (tuple(tensor.shape), tensor.dtype) != (entry.shape, DTYPES[entry.dtype]):
            raise ValueError(f"{entry} was announced, but {tuple(tensor.shape)} of {tensor.dtype} came")
        self._try(lambda: self._append(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data))

    def close(self) -> None:
        """Force the file to disk."""
        if self._waiting:
            raise ValueError(f"{self.path} was closed before {self._waiting[0].key} was written")
        self._try(self._sync)
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk says so once more
                self._file.close()

    def _try(self, action: Callable[[], None]) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error

    def _open(self, head: bytes) -> None:
        self._file = open(self.path, "wb")  # noqa: SIM115 (closed by `close`)
        self._append(head)

    def _append(self, data: Any) -> None:
        assert self._file is not None
        self._file.write(data)

    def _sync(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())


def _read_index(folder: Path) -> dict[str, str] | None:
    """File name of every tensor, or None where the folder has no index."""
    file = folder / INDEX
    if not file.is_file():
        return None
    if (folder / SINGLE).is_file():
        raise UserError(f"{folder} has both {SINGLE} and {INDEX}; delete the one that is not the model")
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not an index of safetensors files ({error!r}); copy it again") from error


def _files(folder: Path, index: dict[str, str] | None) -> list[Path]:
    if index is None:
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise UserError(f"no *.safetensors in {folder}; give model.weights a Hugging Face model folder")
        return files
    files = [folder / name for name in sorted(set(index.values()))]
    for file in files:
        if not file.is_file():
            raise UserError(f"{folder} has no {file.name}, which {INDEX} names; copy it there")
    return files
