"""`fleming compare`: runs side by side, over their seeds."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleming_nemo.launch.compare import Group, Run

_MOST_COLUMNS = 8


def add(verbs: Any) -> None:
    compare = verbs.add_parser(
        "compare",
        help="runs side by side: what differs, what came of it, over seeds",
        description="A row for each setting: runs that differ in their seed alone are one row, with the mean over them "
        "and its 95 % interval (Student's t). `reward` and `loss` are means over the last tenth of the steps.",
    )
    compare.add_argument("runs", nargs="+", metavar="RUN", help="run directories, or that of a sweep or a chain")
    compare.add_argument("--each", action="store_true", help="a row for each run")
    compare.add_argument("--json", action="store_true", help="for machines")
    compare.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    from fleming_nemo.launch.compare import groups, read

    found = groups(read(args.runs))
    if args.json:
        print(json.dumps([_plain(group) for group in found], indent=1))
        return
    print(table(found, args.each))


def table(found: Sequence[Group], each: bool = False) -> str:
    """The rows as text, and below them why runs are not done."""
    from fleming_nemo.launch.compare import MEASURES

    keys = list(found[0].settings)
    shown = keys[:_MOST_COLUMNS]
    measures = [name for name in MEASURES if any(name in group.measures for group in found)]
    alone = all(len(group.runs) == 1 for group in found)
    rows = [[*(["run"] if each or alone else []), *shown, *(["seed", "step"] if each else []), "state", *measures]]
    for group in found:
        settings = [_text(group.settings[key]) for key in shown]
        if each:
            for run in group.runs:
                own = [_text(run.options.get("seed")), _text(run.step), run.state]
                rows.append([run.folder.name, *settings, *own, *(_number(run.measures.get(m)) for m in measures)])
            continue
        name = [group.runs[0].folder.name] if alone else []
        rows.append([*name, *settings, _states(group.runs), *(_mean(group, m) for m in measures)])
    lines = _aligned(rows)
    if len(keys) > len(shown):
        lines.append(f"and {len(keys) - len(shown)} more options differ: {', '.join(keys[len(shown) :])}")
    if not each and any(half is not None for group in found for _, half, _ in group.measures.values()):
        lines.append("±: half of the 95 % interval of the mean over the seeds")
    open_ones = [run for group in found for run in group.runs if run.state != "done" and run.why]
    lines += [f"{run.folder}: {run.state}: {run.why}" for run in open_ones]
    return "\n".join(lines)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _states(runs: Sequence[Run]) -> str:
    counts = Counter(run.state for run in runs)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common()) if len(runs) > 1 else runs[0].state


def _mean(group: Group, measure: str) -> str:
    if measure not in group.measures:
        return "-"
    mean, half, count = group.measures[measure]
    text = _number(mean) if half is None else f"{_number(mean)} ± {_number(half)}"
    return text if count == len(group.runs) else f"{text} ({count} runs)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _plain(group: Group) -> dict[str, Any]:
    measures = {name: {"mean": m, "half_ci95": half, "runs": n} for name, (m, half, n) in group.measures.items()}
    runs = [asdict(run) | {"folder": str(run.folder), "options": None} for run in group.runs]
    seeds = [run.options.get("seed") for run in group.runs]
    rows = [{k: v for k, v in row.items() if k != "options"} | {"seed": s} for row, s in zip(runs, seeds, strict=True)]
    return {"settings": group.settings, "measures": measures, "runs": rows}
