"""What an import is written as: a recipe file that runs, or a YAML config; and the list of all fields."""

from __future__ import annotations

import dataclasses
import typing
from collections import Counter
from pathlib import Path

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.migrate.rules import MAPPED, OFF, UNKNOWN, VERDICTS, Import

_HEAD = '''"""{kind} config {file}, imported.

Start it with `fleming submit {name} --nodes {nodes} ...`, or on one node with `python {name}`.
"""

from fleming_nemo.config.schema import {imports}
from fleming_nemo.launch.main import main


def recipe() -> RunConfig:
    """{kind} config {file}, imported."""
    return RunConfig(
{body}
    )


if __name__ == "__main__":
    main(recipe)
'''


def recipe(imported: Import, cfg: RunConfig, source: Path, target: Path) -> str:
    """A recipe file with the imported options, each with the field it comes from."""
    origins: dict[str, list[str]] = {}
    for entry in imported.entries:
        if entry.verdict == MAPPED:
            origins.setdefault(entry.to, []).append(entry.key)
    hints = typing.get_type_hints(RunConfig)
    body, imports = [], {"RunConfig"}
    for field in dataclasses.fields(RunConfig):
        if not dataclasses.is_dataclass(hints[field.name]):
            if field.name in imported.options:
                body.append(_line(8, field.name, getattr(cfg, field.name), origins.get(field.name)))
            continue
        section = hints[field.name].__name__
        inside = [name for name in _names(hints[field.name]) if f"{field.name}.{name}" in imported.options]
        if inside:
            imports.add(section)
            body.append(f"        {field.name}={section}(")
            values = getattr(cfg, field.name)
            body += [_line(12, n, getattr(values, n), origins.get(f"{field.name}.{n}")) for n in inside]
            body.append("        ),")
    names = "(\n" + "".join(f"    {name},\n" for name in sorted(imports)) + ")"
    return _HEAD.format(
        kind=imported.kind,
        file=source.name,
        name=target.name,
        nodes=imported.arguments.get("--nodes", 1),
        imports=names,
        body="\n".join(body),
    )


def listing(imported: Import, every: bool = False) -> str:
    """The fields of the file with what became of them, the unknown ones first.

    `every`: those without effect one by one too, instead of their number in each section.
    """
    lines = []
    for verdict, meaning in sorted(VERDICTS.items(), key=lambda pair: pair[0] != UNKNOWN):
        entries = [e for e in imported.entries if e.verdict == verdict]
        if not entries:
            continue
        lines.append(f"{verdict}: {len(entries)} ({meaning})")
        if verdict == OFF and not every:
            parts = Counter(".".join(e.key.split(".")[:2]) for e in entries)
            lines += [f"  {part}: {count}" for part, count in parts.items()]
            continue
        for entry in entries:
            became = f" -> {entry.to} = {entry.ours}" if entry.to else ""
            lines.append(f"  {entry.key} = {entry.value}{became}" + (f"  ({entry.note})" if entry.note else ""))
    return "\n".join(lines)


def _names(section: type) -> list[str]:
    return [f.name for f in dataclasses.fields(section)]


def _line(indent: int, name: str, value: object, origins: list[str] | None) -> str:
    text = f'"{value}"' if isinstance(value, str) and '"' not in value else repr(value)
    comment = f"  # {origins[0]}{f' and {len(origins) - 1} more' if origins[1:] else ''}" if origins else ""
    return f"{' ' * indent}{name}={text},{comment}"
