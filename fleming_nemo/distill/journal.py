"""attempts.jsonl: everything that was tried, appended item by item, and the one thing a killed run goes on from.

The lines of an item are written at once when it is decided; its last line says so. What a kill leaves behind them is
cut off on opening, so a file that was resumed has the bytes of one that was not. Everything else a run writes is
derived from this file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fleming_nemo.config.errors import UserError

Row = dict[str, Any]


class Journal:
    """Use as a context manager; raises UserError for a file that is no such journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[str] = []
        """Ids of the items decided, in order."""

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if self.path.exists():
            for end, row in self._rows():
                if row["last"]:
                    whole = end
                    self.done.append(row["item_id"])
        self._file: IO[bytes] = open(self.path, "ab")
        self._file.truncate(whole)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def append(self, item_id: str, rows: list[Row]) -> None:
        lines = [{"item_id": item_id} | row | {"last": at == len(rows)} for at, row in enumerate(rows, 1)]
        self._file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8"))
        self._file.flush()

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """(place of its end in the file, row) of every whole line."""
        end = 0
        with open(self.path, "rb") as file:
            for line in file:
                end += len(line)
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                    row["item_id"], row["last"]
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(f"{self.path}: a line is damaged ({error!r}); give another --out.") from error
                yield end, row


def decided(path: Path) -> Iterator[tuple[str, list[Row]]]:
    """(item id, its attempts) from a finished journal."""
    rows: list[Row] = []
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            rows.append(json.loads(line))
            if rows[-1]["last"]:
                yield rows[0]["item_id"], rows
                rows = []
