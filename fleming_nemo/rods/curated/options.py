"""The options of a row, in the six shapes that data sets use, and the index of the right one."""

from __future__ import annotations

import re
from typing import Any

from fleming_nemo.data.items import LETTERS
from fleming_nemo.rods.curated.mapping import Answer, Options
from fleming_nemo.rods.curated.rejects import Refused
from fleming_nemo.rods.curated.values import is_empty, text_of, value_at

_PACKED_LINE = re.compile(r"\s*([A-Z])\s*[.、．:：)）,，\s]\s*(.*)")
_SEVERAL_LETTERS = re.compile(r"[A-Z](?:[\s,，、;；/+&]*[A-Z])+")


def read_options(row: dict[str, Any], spec: Options) -> tuple[list[str], list[str]]:
    """(keys, texts); keys are letters, or the keys of `pairs`. Refused when they have gaps or are empty."""
    if spec.kind == "none":
        return [], []
    if spec.kind == "fixed":
        return _lettered(list(spec.values), "options")
    if spec.kind == "columns":
        return _columns(row, spec)
    value = value_at(row, spec.column)
    if spec.kind == "dict":
        return _keyed(value, spec.column)
    if spec.kind == "packed":
        return _packed(text_of(value, spec.column), spec.column)
    if not isinstance(value, list):
        raise Refused(spec.column, f"not a list: found {type(value).__name__}")
    if spec.kind == "list":
        return _lettered([text_of(v, spec.column) for v in value], spec.column)
    return _pairs(value, spec)


def _lettered(texts: list[str], column: str) -> tuple[list[str], list[str]]:
    if len(texts) < 2:
        raise Refused(column, f"too few options: found {len(texts)}")
    if len(texts) > len(LETTERS):
        raise Refused(column, f"too many options: found {len(texts)}, letters reach to {len(LETTERS)}")
    return list(LETTERS[: len(texts)]), texts


def _columns(row: dict[str, Any], spec: Options) -> tuple[list[str], list[str]]:
    values = [(name, value_at(row, name)) for name in spec.columns]
    while values and values[-1][0] in spec.optional and is_empty(values[-1][1]):
        values.pop()
    return _lettered([text_of(value, name) for name, value in values], spec.columns[0])


def _keyed(value: Any, column: str) -> tuple[list[str], list[str]]:
    if not isinstance(value, dict):
        raise Refused(column, f"not an object: found {type(value).__name__}")
    # Tables fill the objects of all rows to the same keys, with null: those at the end are no options.
    keys = sorted(str(key) for key in value)
    while keys and is_empty(value.get(keys[-1])):
        keys.pop()
    if keys != list(LETTERS[: len(keys)]):
        raise Refused(column, f"option keys are not A, B, C ...: found {', '.join(keys)[:60]}")
    return _lettered([text_of(value[key], column) for key in keys], column)


def _pairs(value: list[Any], spec: Options) -> tuple[list[str], list[str]]:
    keys, texts = [], []
    for pair in value:
        if not isinstance(pair, dict) or spec.key not in pair or spec.value not in pair:
            raise Refused(spec.column, f"option is not an object with {spec.key} and {spec.value}")
        keys.append(text_of(pair[spec.key], f"{spec.column}.{spec.key}"))
        texts.append(text_of(pair[spec.value], f"{spec.column}.{spec.value}"))
    _lettered(texts, spec.column)
    if len(set(keys)) < len(keys):
        raise Refused(spec.column, "option keys occur twice")
    return keys, texts


def _packed(text: str, column: str) -> tuple[list[str], list[str]]:
    """Lines "A ...", "B ..."; a line without a letter goes on with the option before it.

    A line that starts with a letter out of turn is refused: whether "B 型" begins an option or goes on with one cannot
    be told, and guessing would shift every option after it.
    """
    texts: list[str] = []
    for line in text.split("\n"):
        found = _PACKED_LINE.fullmatch(line)
        if found and len(texts) < len(LETTERS) and found[1] == LETTERS[len(texts)]:
            texts.append(found[2].strip())
        elif found:
            raise Refused(column, f"packed options out of order: {line.strip()[:40]!r}")
        elif texts:
            texts[-1] = f"{texts[-1]} {line.strip()}".strip()
        elif line.strip():
            raise Refused(column, "packed options do not start with A")
    return _lettered([text_of(t, column) for t in texts], column)


def read_answer(row: dict[str, Any], spec: Answer, keys: list[str], texts: list[str]) -> int | str:
    """Index of the right option; the text itself for an open-ended row. Refused when it names none or several."""
    value = value_at(row, spec.column)
    if spec.in_list:
        if not isinstance(value, list) or len(value) != 1:
            raise Refused(spec.column, "not exactly one answer")
        value = value[0]
    if is_empty(value):
        raise Refused(spec.column, "no answer")
    if not texts:
        return text_of(value, spec.column)
    if spec.kind in ("index0", "index1"):
        return _number(value, spec, len(texts))
    text = text_of(value, spec.column)
    if spec.kind == "text":
        if texts.count(text) != 1:
            raise Refused(spec.column, f"answer outside the options: {text[:80]!r} is the text of {texts.count(text)}")
        return texts.index(text)
    if spec.kind == "letter" and _SEVERAL_LETTERS.fullmatch(text):
        raise Refused(spec.column, f"several answers: {text[:40]!r}")
    wanted = text[0] if spec.kind == "first_letter" else text
    if wanted not in keys:
        raise Refused(spec.column, f"answer outside the options: {wanted[:40]!r}, options are {', '.join(keys)[:60]}")
    return keys.index(wanted)


def _number(value: Any, spec: Answer, count: int) -> int:
    number: int | None = None
    if isinstance(value, float) and value.is_integer():  # a column with gaps becomes a column of floats
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,3}(\.0)?\s*", value):
        number = int(float(value))
    if number is None:
        raise Refused(spec.column, f"not a number: {str(value)[:40]!r}")
    if number == -1 and spec.kind == "index0":
        raise Refused(spec.column, "no answer: -1 stands for a label that is withheld")
    first = 0 if spec.kind == "index0" else 1
    if not first <= number < first + count:
        raise Refused(spec.column, f"answer outside the options: {number}, expected {first}..{first + count - 1}")
    return number - first
