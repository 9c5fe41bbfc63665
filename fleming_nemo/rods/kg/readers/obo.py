"""Terms of an OBO file with names, synonyms, definitions and parents."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fleming_nemo.rods.kg.rejects import Rejects

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Term:
    id: str
    name: str
    parents: tuple[str, ...]
    synonyms: tuple[str, ...]
    identifiers: tuple[str, ...]
    definition: str


def read_terms(lines: Iterable[str], file: str, rejects: Rejects) -> Iterator[Term]:
    """Live terms in file order; a stanza without one id and one name is set aside."""
    for number, tags in _stanzas(lines, file, rejects):
        if tags.get("is_obsolete") == ["true"]:
            continue
        wrong = [tag for tag in ("id", "name") if len(tags.get(tag, ())) != 1]
        if wrong:
            rejects.add(file, number, wrong[0], "a [Term] needs exactly one", tags)
            continue
        xrefs = tuple(x.split(" ")[0] for x in tags.get("xref", ()) if x.startswith(("UMLS:", "MSH:", "SNOMEDCT_US:")))
        yield Term(
            id=tags["id"][0],
            name=tags["name"][0],
            parents=tuple(value.split(" ")[0] for value in tags.get("is_a", ())),
            synonyms=tuple(_quoted(value) for value in tags.get("synonym", ())),
            identifiers=(*tags.get("alt_id", ()), *xrefs),
            definition=_quoted(tags["def"][0]) if "def" in tags else "",
        )


def _stanzas(lines: Iterable[str], file: str, rejects: Rejects) -> Iterator[tuple[int, dict[str, list[str]]]]:
    start = 0
    tags: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.startswith("["):
            if start:
                yield start, tags
            start, tags = (number if line == "[Term]" else 0), {}
        elif start and line:
            key, colon, value = line.partition(": ")
            if colon:
                tags.setdefault(key, []).append(value)
            else:
                rejects.add(file, number, "line", "expected 'tag: value'", line)
    if start:
        yield start, tags


def _quoted(value: str) -> str:
    match = _QUOTED.match(value)
    return match[1].replace('\\"', '"') if match else value
