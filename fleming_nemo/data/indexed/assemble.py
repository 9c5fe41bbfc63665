"""Parts to a corpus: streams appended part by part, indices and packing plan from the lengths, the manifest last."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256, sync, write_json
from fleming_nemo.data.indexed import packs
from fleming_nemo.data.indexed.format import write_index
from fleming_nemo.data.indexed.manifest import CHECKSUMS, FORMAT, MANIFEST
from fleming_nemo.data.indexed.part import Stored

_LENGTHS = "lengths.tmp"


class Assembly:
    """The corpus that is being put together in `work`, to be moved to `folder` when it is whole.

    Args:
        pack: tokens of a pack, for a packing plan; 0 for none.
    """

    def __init__(self, folder: Path, work: Path, dtype: np.dtype, pack: int = 0) -> None:
        self.folder, self.work = folder, work
        self._dtype, self._pack = dtype, pack
        work.mkdir(parents=True, exist_ok=True)
        self._streams = {name: _Stream(work / name) for name in ("tokens.bin", "mask.bin", CHECKSUMS, _LENGTHS)}
        self.totals = {"documents": 0, "tokens": 0, "trained_tokens": 0, "longest": 0}

    def append(self, part: Stored) -> None:
        columns = (part.tokens, part.mask, part.checksums.tobytes(), part.lengths.tobytes())
        for stream, content in zip(self._streams.values(), columns, strict=True):
            stream.write(content)
        marker = part.marker
        for name in ("documents", "tokens", "trained_tokens"):
            self.totals[name] += getattr(marker, name)
        self.totals["longest"] = max(self.totals["longest"], marker.longest)

    def finish(self, tokenizer_sha256: str, about: dict[str, Any]) -> dict[str, Any]:
        """Write the indices and the plan, move everything into place and return the manifest.

        Args:
            about: what else the manifest says: sources, config.
        """
        if not self.totals["documents"]:
            raise UserError(f"no document is left for {self.folder}; see what was rejected and why: {about}")
        digests = {name: stream.close() for name, stream in self._streams.items()}
        lengths = np.asarray(np.memmap(self.work / _LENGTHS, "<i4", "r"))
        write_index(self.work / "tokens.idx", lengths, self._dtype)
        write_index(self.work / "mask.idx", lengths, np.dtype("<u1"))
        names = ["tokens.bin", "tokens.idx", "mask.bin", "mask.idx", CHECKSUMS]
        plan = None
        if self._pack:
            plan = packs.write(self.work, lengths, self._pack)
            names += [packs.DOCUMENTS, packs.STARTS]
        del lengths
        (self.work / _LENGTHS).unlink()
        files = {}
        for name in names:
            file = self.work / name
            files[name] = {"bytes": file.stat().st_size, "sha256": digests.get(name) or sha256(file)}
        manifest = {
            "format": FORMAT,
            "tokenizer_sha256": tokenizer_sha256,
            **self.totals,
            "pack": plan,
            **about,
            "files": files,
        }
        (self.folder / MANIFEST).unlink(missing_ok=True)  # none is ever beside files of another build
        for name in names:
            os.replace(self.work / name, self.folder / name)
        sync(self.folder)
        write_json(self.folder / MANIFEST, manifest)
        return manifest


class _Stream:
    """A file that is hashed as it is written."""

    def __init__(self, file: Path) -> None:
        self._out: BinaryIO = open(file, "wb")  # noqa: SIM115 (closed by close)
        self._digest = hashlib.sha256()

    def write(self, content: bytes | memoryview) -> None:
        self._out.write(content)
        self._digest.update(content)

    def close(self) -> str:
        """The sha256 of a file that is now on disk."""
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        return self._digest.hexdigest()
