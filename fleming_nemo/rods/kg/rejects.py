"""Rows that cannot be used: counted, described and set aside, so that nothing stops the build and nothing vanishes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import write_jsonl

RAW_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Reject:
    """`row` is a line number from 1 or the number or key of a record; `raw` its first 500 characters."""

    file: str
    row: int | str
    field: str
    reason: str
    raw: str


class Rejects:
    def __init__(self, rows: Iterable[Reject] = ()) -> None:
        self.rows: list[Reject] = list(rows)

    def add(self, file: str, row: int | str, field: str, reason: str, raw: Any = "") -> None:
        """A row given as digits is a number, so that what was kept on disk as text reads the same."""
        number = int(row) if isinstance(row, str) and row.isdecimal() else row
        self.rows.append(Reject(file, number, field, reason, str(raw)[:RAW_LIMIT]))

    def __len__(self) -> int:
        return len(self.rows)

    def by_file(self) -> dict[str, int]:
        return dict(sorted(Counter(row.file for row in self.rows).items()))

    def by_reason(self) -> dict[str, int]:
        return dict(sorted(Counter(row.reason for row in self.rows).items()))

    def write(self, path: Path) -> None:
        """JSON lines in the order of the findings."""
        write_jsonl(path, (asdict(row) for row in self.rows))
