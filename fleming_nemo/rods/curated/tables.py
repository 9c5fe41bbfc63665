"""Rows of a local file: JSON Lines, JSON, CSV, TSV, Parquet, the first four also compressed (.gz).

A row that cannot be read is a Refused in its place; only a file that cannot be read at all is a UserError.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.curated.mapping import FORMATS, Mapping
from fleming_nemo.rods.curated.rejects import Refused

MAX_LINE_BYTES = 64 * 2**20
Row = tuple[int, dict[str, Any] | Refused, Any]
"""Number of the row, the row or why there is none, and the raw text for the rejects file."""


def format_of(path: Path, mapping: Mapping) -> str:
    """The mapping's format, else the file's ending. UserError when neither tells."""
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    found = mapping.format if mapping.format and ending not in FORMATS else ending
    # The authors of several sets call JSON Lines .json; the mapping knows.
    if ending == "json" and mapping.format == "jsonl":
        found = "jsonl"
    if found not in FORMATS:
        raise UserError(f"{path}: cannot tell the format; name it .{', .'.join(FORMATS)} (+ .gz) or set `format`.")
    return found


def read_rows(path: Path, mapping: Mapping) -> Iterator[Row]:
    """Rows in file order.

    Raises UserError for a file that is missing, cut off, of another format, or that needs a package not installed.
    """
    kind = format_of(path, mapping)
    try:
        if kind == "parquet":
            yield from _parquet(path)
            return
        with _opened(path) as file:
            if kind == "jsonl":
                yield from _json_lines(file, mapping.encoding)
            elif kind == "json":
                yield from _json(file.read(), path, mapping)
            else:
                yield from _delimited(file, "\t" if kind == "tsv" else ",", mapping)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: cut off or damaged ({error}); fetch it again.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except LookupError as error:
        raise UserError(f"{path}: {error}; set a known `encoding`.") from error


def _opened(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))  # noqa: SIM115 - the caller closes it
    return open(path, "rb")  # noqa: SIM115


def _lines(file: IO[bytes], encoding: str) -> Iterator[tuple[int, bytes, str | None]]:
    """(number, raw, text or None if longer than the limit). Bytes of another encoding become lone surrogates."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
            yield number, raw, None
        else:
            yield number, raw, raw.decode(encoding, "surrogateescape")


def _json_lines(file: IO[bytes], encoding: str) -> Iterator[Row]:
    for number, raw, text in _lines(file, encoding):
        if text is None:
            yield number, Refused("(row)", f"line too long: more than {MAX_LINE_BYTES} bytes"), raw
        elif text.strip():
            yield number, _parsed(text), raw


def _parsed(text: str) -> dict[str, Any] | Refused:
    try:
        value = json.loads(text)
    except RecursionError:
        return Refused("(row)", "not JSON: nested too deeply")
    except ValueError as error:
        return Refused("(row)", f"not JSON: {error}")
    return value if isinstance(value, dict) else Refused("(row)", f"not an object: found {type(value).__name__}")


def _json(raw: bytes, path: Path, mapping: Mapping) -> Iterator[Row]:
    try:
        tree = json.loads(raw.removeprefix(b"\xef\xbb\xbf").decode(mapping.encoding, "surrogateescape"))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and not mapping.rows:  # several values, one a line: JSON Lines by another name
            yield from _json_lines(io.BytesIO(raw), mapping.encoding)
            return
        raise UserError(f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON that can be read ({error}).") from error
    for number, row in enumerate(_inside(tree, "*" if mapping.rows == "keyed" else mapping.rows, path), 1):
        yield number, row if isinstance(row, dict) else Refused("(row)", f"not an object: {type(row).__name__}"), row


def _inside(tree: Any, where: str, path: Path, key: str = "") -> Iterator[Any]:
    """Rows at a path such as "exams.*.data"; "" is the list itself."""
    head, _, rest = where.partition(".")
    if not head:
        if isinstance(tree, dict) and key:
            yield {**tree, "_key": key}
        elif isinstance(tree, list):
            yield from ({**row, "_key": key} if key and isinstance(row, dict) else row for row in tree)
        elif key:
            yield tree  # what stands where a row should be: refused by the caller
        else:
            raise UserError(f"{path}: expected a list of rows, found {type(tree).__name__}; set `rows` in the mapping.")
    elif not isinstance(tree, dict) or (head != "*" and head not in tree):
        raise UserError(f"{path}: nothing at `rows: {where}`; check the mapping.")
    elif head == "*":
        for name, value in tree.items():
            yield from _inside(value, rest, path, str(name))
    else:
        yield from _inside(tree[head], rest, path, key)


def _delimited(file: IO[bytes], delimiter: str, mapping: Mapping) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    texts = (text if text is not None else "" for _, _, text in _lines(file, mapping.encoding))
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    header = list(mapping.header)
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield number, Refused("(row)", f"not CSV: {error}"), f"line {reader.line_num}"
            continue
        if not cells:
            continue
        if not header:
            header = [name.strip() for name in cells]
            continue
        number += 1
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True)), cells
        else:
            yield number, Refused("(row)", f"wrong number of columns: {len(cells)}, header has {len(header)}"), cells


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{path}: reading Parquet needs pyarrow; install it with `pip install pyarrow`.") from error
    number = 0
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row, row
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a readable Parquet file (after row {number}: {error}).") from error
