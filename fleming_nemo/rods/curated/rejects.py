"""Rows that were set aside: where they stand, which field is at fault, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from fleming_nemo.data.files import write_jsonl

RAW_CHARACTERS = 500


class Refused(ValueError):
    """This row or item cannot be used. `reason` is "kind" or "kind: detail"; kinds are few, so that they count."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"field {field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reject:
    """One line of a rejects file.

    Attributes:
        row: the line of a JSON Lines file, else the number of the record, both from 1.
        raw: the first 500 characters of what was found.
    """

    file: str
    row: int
    field: str
    reason: str
    raw: str

    @property
    def kind(self) -> str:
        return self.reason.split(":", 1)[0]


def reject(file: str, row: int, refused: Refused, raw: object) -> Reject:
    """Whatever `raw` is, what is kept of it is short and can be written as UTF-8."""
    return Reject(file, row, printable(refused.field), printable(refused.reason), printable(raw))


def printable(raw: object) -> str:
    """At most 500 characters of any value, lone surrogates and raw bytes written as escapes."""
    if isinstance(raw, bytes):
        return raw[:RAW_CHARACTERS].decode("utf-8", "backslashreplace")[:RAW_CHARACTERS]
    if not isinstance(raw, str):
        try:
            raw = json.dumps(raw, ensure_ascii=False, default=repr)
        except (ValueError, TypeError, RecursionError):
            raw = f"<{type(raw).__name__} that cannot be shown>"
    return raw[:RAW_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")[:RAW_CHARACTERS]


def kinds(rejects: Iterable[Reject]) -> dict[str, int]:
    """Number of rejects by kind, most frequent first."""
    counted = Counter(r.kind for r in rejects)
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    write_jsonl(path, (asdict(r) for r in rejects))
