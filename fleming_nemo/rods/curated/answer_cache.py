"""Answers that were paid for: one line each, appended as it comes, so that a kill repeats no finished call."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from fleming_nemo.config.errors import UserError


class Reply(NamedTuple):
    """`text` is None where the server refused the question; `finish` is the finish reason or what the server said."""

    text: str | None
    finish: str


def cache_key(body: dict[str, Any]) -> str:
    """Hash of all that was sent: another model, prompt, temperature or trial is another question."""
    content = json.dumps(body, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


class AnswerCache:
    """A JSON Lines file of replies, used by one process at a time (`with AnswerCache(path) as cache`).

    Raises UserError when another process holds it, or when a line other than the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._replies: dict[str, Reply] = {}

    def __enter__(self) -> AnswerCache:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UserError(
                f"{self.path}: another run is writing to it; wait for it or give another folder."
            ) from error
        self._load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._replies

    def __getitem__(self, key: str) -> Reply:
        return self._replies[key]

    def __len__(self) -> int:
        return len(self._replies)

    def add(self, key: str, reply: Reply) -> None:
        """In the file, as far as this process can tell the kernel, when it returns."""
        row = json.dumps({"key": key, "text": reply.text, "finish": reply.finish}) + "\n"
        self._file.write(row.encode("ascii"))
        self._file.flush()
        self._replies[key] = reply

    def _load(self) -> None:
        self._file.seek(0)
        raw = self._file.read()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):  # torn by a kill in the middle of a write
            self._file.truncate(whole)
        for number, line in enumerate(raw[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                self._replies[row["key"]] = Reply(row["text"], row["finish"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.path}, line {number}: damaged; remove that line.") from error
