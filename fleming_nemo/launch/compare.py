"""Runs side by side: the options in which they differ, and what came of it, over seeds.

Runs that differ in nothing but the seed are one group; each of its figures is a mean with its 95 % interval.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.evaluation.student import mean_interval
from fleming_nemo.launch import lock, markers
from fleming_nemo.launch.pipeline import CHAIN
from fleming_nemo.launch.queue import Queue
from fleming_nemo.launch.submission import attach
from fleming_nemo.launch.sweep import SWEEP
from fleming_nemo.report.run_files import read_json, read_jsonl

_BETTER = {"reward": max, "loss": min}
MEASURES = ("accuracy", "reward", "best reward", "loss", "best loss")
"""`reward` and `loss`: mean over the last tenth of the steps; `best`: over a window of that length."""


@dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        options: of its config, those of the sweep for a run that has not begun; paths inside the run without it.
        state: `pending`, `running`, `done`, `failed`, or `stopped` for one that nobody works on.
        why: what is known about a state other than done.
        measures: some of MEASURES.
    """

    folder: Path
    options: dict[str, Any]
    state: str
    why: str
    step: int | None
    measures: dict[str, float]


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed. `measures`: mean, half of the 95 % interval, number of runs."""

    settings: dict[str, Any]
    runs: list[Run]
    measures: dict[str, tuple[float, float | None, int]]


def read(places: Iterable[str | Path]) -> list[Run]:
    """The runs in these directories: of a run, or the parent of several.

    Errors: UserError for a directory that holds none.
    """
    queue = Queue()
    return [_read(folder, settings, queue) for place in places for folder, settings in _find(Path(place))]


def differing(runs: Sequence[Run]) -> list[str]:
    """Options in which the runs differ, without the seed."""
    keys = dict.fromkeys(key for run in runs for key in run.options)
    known = {key: [run.options[key] for run in runs if key in run.options] for key in keys}
    return [key for key, values in known.items() if key != "seed" and any(v != values[0] for v in values)]


def groups(runs: Sequence[Run]) -> list[Group]:
    """Runs with the same values of `differing`, in the order in which these come first."""
    keys = differing(runs)
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(repr([run.options.get(key) for key in keys]), []).append(run)
    out = []
    for members in found.values():
        measures = {}
        for name in MEASURES:
            values = [run.measures[name] for run in members if name in run.measures]
            if values:
                measures[name] = (*mean_interval(values), len(values))
        out.append(Group({key: members[0].options.get(key) for key in keys}, members, measures))
    return out


def _find(place: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Run directories, with the settings that a list names for them."""
    if (place / SWEEP).is_file():
        points = files.read_json(place / SWEEP)["points"]
        return [(place / p["run_dir"], {k: _value(v) for k, v in p["settings"].items()}) for p in points]
    if (place / CHAIN).is_file():
        links = files.read_json(place / CHAIN)
        return [(place / link["run_dir"], {}) for link in links if link["kind"] != "data"]
    if (place / lock.CONFIG).is_file() and not any(place.glob(f"*/{lock.CONFIG}")):
        return [(place, {})]
    below = sorted(file.parent for file in place.glob(f"*/{lock.CONFIG}"))
    if not below:
        raise UserError(f"{place} holds no run; name run directories, or the directory of a sweep or a chain")
    return [(folder, {}) for folder in below]


def _read(folder: Path, settings: dict[str, Any], queue: Queue) -> Run:
    options, config = dict(settings), folder / lock.CONFIG
    if config.is_file():
        whole = _flat(yaml.safe_load(config.read_text(encoding="utf-8")) or {})
        own = str(whole.get("run_dir", folder))
        options |= {k: v.replace(own, "RUN") if isinstance(v, str) else v for k, v in whole.items() if k != "run_dir"}
    metrics = {row["step"]: row for row in read_jsonl(folder / "metrics.jsonl", ("step",))}
    state, why = _state(folder, queue)
    return Run(folder, options, state, why, max(metrics, default=None), _measures(folder, list(metrics.values())))


def _measures(folder: Path, rows: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    evaluation = read_json(folder / "eval.json")
    if evaluation is not None and "accuracy" in evaluation:
        found["accuracy"] = evaluation["accuracy"]
    for name, better in _BETTER.items():
        values = [row[name] for row in rows if row.get(name) is not None]
        if not values or (name == "loss" and "reward" in found):  # the loss of GRPO says nothing of how good it is
            continue
        window = max(1, len(values) // 10)
        means = [fmean(values[n : n + window]) for n in range(len(values) - window + 1)]
        found |= {name: means[-1], f"best {name}": better(means)}
    return found


def _state(folder: Path, queue: Queue) -> tuple[str, str]:
    if markers.read_done(folder) is not None:
        return "done", ""
    failure = markers.read_failure(folder)
    cause = str(failure["cause"]) if failure else ""
    if _is_held(folder):
        return "running", ""
    sent = attach(folder, queue)
    if sent is not None and sent.state != "failed":
        return sent.state, sent.why
    if failure is not None or sent is not None:
        return "failed", cause or (sent.why if sent is not None else "")
    return "stopped", ""


def _is_held(folder: Path) -> bool:
    """Whether a process holds the run directory, as far as the file system tells from here."""
    try:
        with open(folder / lock.LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value; of a config that an older version wrote, too."""
    if not isinstance(node, dict):
        return {prefix: node}
    leaves: dict[str, Any] = {}
    for name, below in node.items():
        leaves |= _flat(below, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def _value(text: str) -> Any:
    """A sweep's text as the value that the config has for it: "1e-6" -> 1e-06, "[1,2]" -> [1, 2]."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
