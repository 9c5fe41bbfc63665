"""What the overlap filters see of a question, and how a benchmark file is read."""

import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem


class Entry(NamedTuple):
    """Question, options and context of an item. `options` of an open-ended item holds its answer text.

    Unlike QAItem it allows what published benchmarks contain: repeated and empty options.
    """

    id: str
    question: str
    options: tuple[str, ...]
    context: str = ""


def entry_of(item: QAItem | Entry) -> Entry:
    """The entry of an item."""
    if isinstance(item, Entry):
        return item
    options = item.options or (str(item.answer),)
    return Entry(item.id, item.question, options, item.context or "")


def read_benchmark(path: Path | str) -> tuple[list[Entry], list[dict[str, Any]]]:
    """Entries of a JSONL or JSONL.gz file in the item schema, and the rows that are none.

    A reject is {file, row, field, reason, raw}. Raises UserError when the file cannot be read.
    """
    entries, _, rejects = read_lines(path)
    return entries, rejects


def read_lines(path: Path | str) -> tuple[list[Entry], list[tuple[int, bytes]], list[dict[str, Any]]]:
    """As read_benchmark, with the line of every entry: its number from 1 and its bytes without the line break."""
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a JSONL file of questions.") from error
    entries: list[Entry] = []
    lines: list[tuple[int, bytes]] = []
    rejects: list[dict[str, Any]] = []
    for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else (), 1):
        try:
            entries.append(_entry(json.loads(line.decode("utf-8")), f"{path.name}:{number}"))
            lines.append((number, line))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            rejects.append(_reject(path, number, "(row)", f"not UTF-8 JSON ({error})", line))
        except _FieldError as error:
            rejects.append(_reject(path, number, error.field, str(error), line))
    return entries, lines, rejects


class _FieldError(ValueError):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def _entry(row: object, name: str) -> Entry:
    if not isinstance(row, dict):
        raise _FieldError("(row)", f"expected a JSON object, found {type(row).__name__}")
    question, options, context = row.get("question"), row.get("options", []), row.get("context")
    if not isinstance(question, str) or not question.strip():
        raise _FieldError("question", f"expected a non-empty string, found {str(question)[:80]!r}")
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise _FieldError("options", "expected a list of strings")
    if context is not None and not isinstance(context, str):
        raise _FieldError("context", "expected a string or null")
    if not options and isinstance(row.get("answer"), str):
        options = [row["answer"]]
    return Entry(str(row.get("id", name)), question, tuple(options), context or "")


def _reject(path: Path, row: int, field: str, reason: str, line: bytes) -> dict[str, Any]:
    raw = line[:2000].decode("utf-8", "replace")[:500]
    return {"file": str(path), "row": row, "field": field, "reason": _printable(reason), "raw": raw}


def _printable(text: str) -> str:
    """Lone surrogates, which JSON may escape, cannot be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_benchmarks(paths: Iterable[Path | str]) -> tuple[dict[str, list[Entry]], list[dict[str, Any]]]:
    """Several files; the benchmark's name is the file's name up to the first dot. UserError if two share a name."""
    benchmarks: dict[str, list[Entry]] = {}
    rejects: list[dict[str, Any]] = []
    for path in map(Path, paths):
        name = path.name.split(".")[0]
        if name in benchmarks:
            raise UserError(f"{path}: a second benchmark named {name}; rename the file.")
        benchmarks[name], bad = read_benchmark(path)
        rejects += bad
    return benchmarks, rejects
