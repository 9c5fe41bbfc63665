"""Answers that were paid for, on disk by the content of their question; memory holds only where each one stands.

`replies.log` is one line a reply, appended in a single write before anybody sees the reply:

    CRC-32 of the rest, SHA-256 of the question, prompt tokens, completion tokens, cost, JSON {text, finish, reasoning}

A process that is killed leaves at most one torn line at the end, which the next one cuts off. A damaged line in the
middle is counted in `num_damaged`, and its question is asked again. A question of 64 zeros marks tokens that a server
may have charged for a reply that never came whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.exchange import Reply
from fleming_nemo.endpoint.places import Places

FILE = "replies.log"
_HEAD = b"fleming-nemo replies, form 1\n"
_LOST = "0" * 64
_SYNC_EVERY_S = 5.0  # a power cut, unlike a kill, may cost what came since the last one


class Cache:
    """The replies of one folder, for one process at a time (`with Cache(folder) as cache`).

    Attributes:
        tokens, cost: all that the folder's replies took, lost ones included.
        num_damaged: lines that cannot be used.

    Raises UserError when another process writes to the folder, or when it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.tokens, self.cost, self.num_damaged = 0, 0.0, 0
        self._places = Places()
        self._end = 0

    def __enter__(self) -> Cache:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); choose another folder.") from error
        try:
            self._lock()
            # Not the descriptor that writes: each append would move the place from which it reads.
            self._reader = open(self.path, "rb")  # noqa: SIM115 - closed in __exit__
            self._load()
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, digest: str) -> Reply | None:
        for offset in self._places.find(digest):
            self._reader.seek(offset)
            fields = _parsed(self._reader.readline())
            if fields is None:
                self.num_damaged += 1  # since this process read it whole
            elif fields[0] == digest:
                return _reply(fields)
        return None

    def add(self, digest: str, reply: Reply, cost: float) -> None:
        """With the kernel, whole, when it returns. Raises UserError when the disk takes it no more."""
        said = {"text": reply.text, "finish": reply.finish, "reasoning": reply.reasoning}
        offset = self._append(digest, reply.prompt_tokens, reply.completion_tokens, cost, said)
        self._places.add(digest, offset)

    def add_lost(self, prompt_tokens: int, completion_tokens: int, cost: float) -> None:
        self._append(_LOST, prompt_tokens, completion_tokens, cost, None)

    def _append(self, digest: str, prompt: int, completion: int, cost: float, said: object) -> int:
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        rest = f"{digest} {prompt} {completion} {cost!r} {text}".encode("utf-8", "surrogatepass")
        line = b"%08x %s\n" % (zlib.crc32(rest), rest)
        self._write(line)
        offset, self._end = self._end, self._end + len(line)
        self.tokens += prompt + completion
        self.cost += cost
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            os.fsync(self._file)
            self._synced = time.monotonic()
        return offset

    def _write(self, line: bytes) -> None:
        try:
            if os.write(self._file, line) == len(line):
                return
            reason = "no space left"
        except OSError as error:
            reason = error.strerror or str(error)
        os.ftruncate(self._file, self._end)  # half a line would swallow the next one
        raise UserError(f"{self.path}: cannot be written ({reason}); make room and start the same command again.")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.path}: another run is writing to it; wait for it, or choose another folder."
            ) from None
        except OSError as error:
            raise UserError(f"{self.path}: no locks there ({error.strerror}); choose another file system.") from error

    def _load(self) -> None:
        head = self._reader.readline()
        if head != _HEAD:
            if head.endswith(b"\n"):
                raise UserError(f"{self.path}: not a file of replies of this version; choose another folder.")
            os.ftruncate(self._file, 0)
            self._write(_HEAD)
            self._end = len(_HEAD)
            return
        offset = len(_HEAD)
        for line in self._reader:
            if not line.endswith(b"\n"):
                os.ftruncate(self._file, offset)  # torn by a kill in the middle of a write
                break
            fields = _parsed(line)
            if fields is None:
                self.num_damaged += 1
            else:
                digest, prompt, completion, cost, _ = fields
                self.tokens += prompt + completion
                self.cost += cost
                if digest != _LOST:
                    self._places.add(digest, offset)
            offset += len(line)
        self._end = offset


def _parsed(line: bytes) -> tuple[str, int, int, float, bytes] | None:
    """(digest, prompt tokens, completion tokens, cost, JSON) of a line; None when it is damaged."""
    try:
        checksum, rest = line[:-1].split(b" ", 1)
        if int(checksum, 16) != zlib.crc32(rest):
            return None
        digest, prompt, completion, cost, said = rest.split(b" ", 4)
        return digest.decode("ascii"), int(prompt), int(completion), float(cost), said
    except ValueError:
        return None


def _reply(fields: tuple[str, int, int, float, bytes]) -> Reply:
    _, prompt, completion, _, said = fields
    values = json.loads(said.decode("utf-8", "surrogatepass"))
    return Reply(values["text"], values["finish"], values["reasoning"], prompt, completion, cached=True)
