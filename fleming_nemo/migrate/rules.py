"""What a field of another trainer's config becomes here: one rule a field, and how a whole file goes through a table.

Nothing is ever dropped in silence: each leaf of the file ends up in exactly one `Entry`, and a key that no rule knows
is listed as unknown.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MAPPED, IMPLIED, OFF, WITHOUT, UNKNOWN = "mapped", "implied", "off", "without counterpart", "unknown"
VERDICTS = {
    MAPPED: "becomes an option of ours, or an argument of the command that starts the run",
    IMPLIED: "ours does so always",
    OFF: "has no effect in this file: unset, or of a part that the file switches off",
    WITHOUT: "ours has nothing of the kind; the note says what it does instead",
    UNKNOWN: "no field of the schema that this version of fleming knows",
}

Source = dict[str, Any]
"""Dotted key -> value of every leaf of the file that is read; a list is one leaf."""


@dataclass(frozen=True)
class Lost:
    """Result of a conversion for a value that ours cannot express."""

    reason: str


@dataclass(frozen=True)
class Rule:
    """What becomes of one field.

    Attributes:
        source: dotted key in the other config; shell wildcards match several, and `*` also spans dots.
        verdict: MAPPED, IMPLIED or WITHOUT.
        to: our option, or `--nodes` and the like for an argument of the command line.
        note: change of unit or of meaning; why there is no counterpart.
        convert: our value from (value, the whole file); a `Lost` where this value has no counterpart.
        holds: for IMPLIED, from (value, the whole file): whether that is what the file asks for; `note` says what ours
            does.
        part: whether the part of the file that the field belongs to is in force.
    """

    source: str
    verdict: str
    to: str = ""
    note: str = ""
    convert: Callable[[Any, Source], Any] = lambda value, _: value
    holds: Callable[[Any, Source], bool] = lambda value, _: True
    part: Callable[[Source], bool] = lambda _: True


@dataclass(frozen=True)
class Entry:
    """What became of one leaf of a file."""

    key: str
    value: Any
    verdict: str
    to: str = ""
    ours: Any = None
    note: str = ""


@dataclass
class Import:
    """A translated file.

    Attributes:
        kind: which schema it has.
        entries: one for every leaf, in the order of the file.
        options: our dotted option -> value.
        arguments: what the command that starts the run takes besides, for example nodes.
    """

    kind: str
    entries: list[Entry] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


def same(source: str, to: str, note: str = "", **more: Any) -> Rule:
    """The same quantity in the same unit."""
    return Rule(source, MAPPED, to, note, **more)


def turned(source: str, to: str, convert: Callable[[Any, Source], Any], note: str, **more: Any) -> Rule:
    """A quantity that changes its unit or its meaning; `note` says how."""
    return Rule(source, MAPPED, to, note, convert, **more)


def always(source: str, note: str, *values: Any, **more: Any) -> Rule:
    """What ours does anyway; with `values`, for these alone."""
    return Rule(source, IMPLIED, "", note, **({"holds": lambda v, _: v in values} if values else {}) | more)


def lacks(source: str, note: str, **more: Any) -> Rule:
    """Ours has nothing of the kind."""
    return Rule(source, WITHOUT, "", note, **more)


def each(make: Callable[..., Rule], prefix: str, names: str, note: str, **more: Any) -> list[Rule]:
    """The same rule for several fields of one section, their names separated by blanks."""
    return [make(f"{prefix}.{name}", note, **more) for name in names.split()]


def within(part: Callable[[Source], bool], rules: Iterable[Rule]) -> list[Rule]:
    """The same rules for a part of the file that only counts where `part` says so."""

    def both(own: Callable[[Source], bool]) -> Callable[[Source], bool]:
        return lambda source: part(source) and own(source)

    return [replace(rule, part=both(rule.part)) for rule in rules]


def flatten(node: Any, prefix: str = "") -> Source:
    """Leaves of a loaded YAML by dotted key; an empty mapping is a leaf."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    leaves: Source = {}
    for name, below in node.items():
        leaves |= flatten(below, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def find(key: str, table: Sequence[Rule], source: Source) -> Rule | None:
    """The rule for a key: one for the key itself before one with wildcards, one in force before one that is not."""
    rules = [r for r in table if r.source == key] or [r for r in table if fnmatch.fnmatchcase(key, r.source)]
    if not rules and source[key] is None:  # a section that the file sets to null
        rules = [r for r in table if r.source.startswith(f"{key}.")]
    return next((r for r in rules if r.part(source)), rules[0] if rules else None)


def translate(kind: str, source: Source, table: Sequence[Rule]) -> Import:
    """Every leaf of `source` through the table."""
    out = Import(kind)
    for key, value in source.items():
        entry = _entry(key, value, source, find(key, table, source))
        out.entries.append(entry)
        if entry.verdict == MAPPED:
            (out.arguments if entry.to.startswith("--") else out.options)[entry.to] = entry.ours
    return out


def _entry(key: str, value: Any, source: Source, rule: Rule | None) -> Entry:
    if rule is None:
        return Entry(key, value, UNKNOWN)
    if not rule.part(source):
        return Entry(key, value, OFF, note="of a part that this file switches off")
    if value is None:
        return Entry(key, value, OFF, note="unset")
    if rule.verdict == MAPPED:
        ours = rule.convert(value, source)
        if isinstance(ours, Lost):
            return Entry(key, value, WITHOUT, note=ours.reason)
        return Entry(key, value, MAPPED, rule.to, ours, rule.note)
    if value == {} or value == []:
        return Entry(key, value, OFF, note="unset")
    if rule.verdict == IMPLIED and not rule.holds(value, source):
        return Entry(key, value, WITHOUT, note=f"ours: {rule.note}")
    return Entry(key, value, rule.verdict, note=rule.note)
