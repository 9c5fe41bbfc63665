"""Rows of a CSV, TSV or Parquet file as dicts of texts; rows that cannot be read are set aside."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.rejects import Rejects

CELL_LIMIT = 1 << 20
SUFFIXES = (".csv", ".tsv", ".parquet")


def header(path: Path) -> list[str]:
    """Column names. Raises UserError for a file of another kind, or none at all."""
    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        if path.suffix in SUFFIXES:
            with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
                return [cell.strip() for cell in next(csv.reader(file, delimiter=_delimiter(path)), [])]
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")


def rows(path: Path, rejects: Rejects) -> Iterator[tuple[int, dict[str, str]]]:
    """(row from 1, cells by column). A row of another width, not in UTF-8 or with a huge cell is set aside."""
    if path.suffix == ".parquet":
        yield from _parquet(path, rejects)
        return
    names = header(path)
    # Bytes are decoded line by line: one line in another encoding must not cost the others.
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        csv.field_size_limit(2**31 - 1)
        reader = csv.reader(file, delimiter=_delimiter(path))
        next(reader, None)
        for number, cells in enumerate(reader, 1):
            if not any(cells):
                continue
            raw = _delimiter(path).join(cells)[:2000].encode("utf-8", "replace").decode()
            if len(cells) != len(names):
                field = names[len(cells)] if len(cells) < len(names) else f"after {names[-1]}"
                rejects.add(path.name, number, field, f"expected {len(names)} fields, found {len(cells)}", raw)
            elif bad := next((n for n, cell in zip(names, cells, strict=True) if not _fine(cell)), None):
                rejects.add(path.name, number, bad, "not UTF-8, or longer than 1 MiB", raw)
            else:
                yield number, {name: cell.strip() for name, cell in zip(names, cells, strict=True)}


def _parquet(path: Path, rejects: Rejects) -> Iterator[tuple[int, dict[str, str]]]:
    number = 0
    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            number += 1
            cells = {key: _text(value) for key, value in row.items()}
            if bad := next((key for key, cell in cells.items() if not _fine(cell)), None):
                rejects.add(path.name, number, bad, "not UTF-8, or longer than 1 MiB", cells[bad][:2000])
            else:
                yield number, cells


def _text(value: object) -> str:
    if isinstance(value, list):
        return "|".join(map(str, value))
    return "" if value is None else str(value).strip()


def _fine(cell: str) -> bool:
    return len(cell) <= CELL_LIMIT and not any("\ud800" <= letter <= "\udfff" for letter in cell)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","
