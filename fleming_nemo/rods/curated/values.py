"""Single values of a row: columns by path, texts, emptiness."""

from __future__ import annotations

import math
from typing import Any

from fleming_nemo.rods.curated.rejects import Refused


def value_at(row: dict[str, Any], path: str) -> Any:
    """The value of a column, or of a field inside objects ("context.contexts"). Refused if it is not there."""
    if path in row:
        return row[path]
    found: Any = row
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            raise Refused(path, "column missing")
        found = found[part]
    return found


def is_empty(value: Any) -> bool:
    """None, NaN (an empty cell of a data frame) and blank text."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def text_of(value: Any, column: str) -> str:
    """A text without white space around it, with Unix line breaks. Refused if there is none."""
    if is_empty(value):
        raise Refused(column, "empty")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused(column, f"not a text: found {type(value).__name__}")
    text = str(value)
    # Lone surrogates stand for bytes that are not UTF-8, or for half a character in JSON.
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise Refused(column, "not UTF-8: the text holds bytes of another encoding or half a character")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def plain(value: Any) -> Any:
    """A provenance value that JSON and UTF-8 can hold; text for anything but numbers and texts."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool | int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
