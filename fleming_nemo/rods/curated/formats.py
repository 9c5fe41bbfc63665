"""Filter 1 of the paper: malformed items, duplicate options, encoding artefacts, markup."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import partial

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.curated.encoding import check_encoding, repair_encoding
from fleming_nemo.rods.curated.filters import rewritten
from fleming_nemo.rods.curated.markup import strip_markup
from fleming_nemo.rods.curated.rejects import Refused

MAX_CHARACTERS = {"question": 8_000, "options": 2_000, "context": 40_000}
"""Longest text of each field. The longest known vignettes have about 4,000 characters, abstracts about 10,000; what is
far beyond that is a page pasted into a cell, and no context window of training holds it."""
MIN_QUESTION_LETTERS = 4
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def check_format(item: QAItem, changes: Counter[str]) -> QAItem:
    """The cleaned item. Refused with the field that is too long, damaged, empty, or repeats an option."""
    for name, longest in MAX_CHARACTERS.items():
        for text in _texts(item, name):
            if len(text) > longest:
                raise Refused(name, f"too long: {len(text)} characters, at most {longest}")
    for name in MAX_CHARACTERS:
        item = rewritten(item, partial(_clean, name=name, changes=changes), (name,))
    if len(_LETTER_OR_DIGIT.findall(item.question)) < MIN_QUESTION_LETTERS:
        raise Refused("question", "too short: hardly a letter in it")
    seen: dict[str, int] = {}
    for number, option in enumerate(item.options):
        if not option_key(option):
            raise Refused("options", f"empty option: {option[:40]!r}")
        if option_key(option) in seen:
            raise Refused(
                "options", f"duplicate options: {option[:60]!r} and {item.options[seen[option_key(option)]][:60]!r}"
            )
        seen[option_key(option)] = number
    return item


def option_key(option: str) -> str:
    """What of an option decides whether two read the same: not case, width, blanks or a final full stop.

    Signs count ("+" and "-" are different answers), and so do capitals in up to three characters ("pH", "Rh", "RH").
    """
    folded = " ".join(unicodedata.normalize("NFKC", option).split())
    folded = folded.rstrip("。.;；,， ") or folded
    return folded.casefold() if len(folded) > 3 else folded


def _clean(text: str, name: str, changes: Counter[str]) -> str:
    text = strip_markup(repair_encoding(text, changes), name, changes)
    return check_encoding(repair_encoding(text, changes), name)


def _texts(item: QAItem, name: str) -> tuple[str, ...]:
    value = getattr(item, name)
    return (value,) if isinstance(value, str) else value or ()
