"""Spellings that turn a French drug name into the English one: amoxicilline, acide valproïque."""

import re
from collections.abc import Iterator

from fleming_nemo.rods.kg.names import folded

_ACID = re.compile(r"acide (.+)ique")


def english_spellings(name: str) -> Iterator[str]:
    """Candidates; each counts only if a drug has exactly this name."""
    name = folded(name)
    if acid := _ACID.fullmatch(name):
        yield f"{acid[1]}ic acid"
    if name.endswith("e"):
        yield name[:-1]
    yield name + "e"
