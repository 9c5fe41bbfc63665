"""A recipe under many settings: one job array, one run directory for each point, one list of them all."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.fields import options
from fleming_nemo.config.overrides import whole
from fleming_nemo.data import files
from fleming_nemo.launch import lock
from fleming_nemo.launch.resolve import Recipe, load_recipe
from fleming_nemo.launch.send import FOLDER, config_for, preview, ready, send
from fleming_nemo.launch.submission import JobFailed, Submission
from fleming_nemo.launch.task import Task

SWEEP = "sweep.json"
"""In the sweep's directory: `over`, the values of each option; `points`, each with name, settings and run directory."""
_LONGEST_NAME = 80


@dataclass
class Sweep:
    """The submitted points of a sweep.

    Attributes:
        run_dir: the sweep's directory; `fleming compare` takes it.
        points: their handles, in the order of the list.
    """

    run_dir: Path
    points: list[Submission]

    @property
    def states(self) -> dict[str, int]:
        """How many points are in each state."""
        found = [point.state for point in self.points]
        return {state: found.count(state) for state in ("pending", "running", "done", "failed") if state in found}

    def results(self, timeout_s: float | None = None) -> list[dict[str, Any] | None]:
        """Wait for all; None for a point that failed.

        Errors: TimeoutError when they have not all ended within `timeout_s`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        found: list[dict[str, Any] | None] = []
        for point in self.points:
            try:
                found.append(point.result(None if end is None else max(0.0, end - time.monotonic())))
            except (JobFailed, UserError):
                found.append(None)
        return found

    def cancel(self) -> None:
        """End all that have not ended."""
        for point in self.points:
            if point.state in ("pending", "running"):
                point.cancel()


def submit_sweep(
    recipe: Recipe | str | Path,
    over: Mapping[str, Iterable[Any]],
    nodes: int = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    cluster: str = "local",
    folder: str | Path = FOLDER,
    at_most: int = 0,
    **slurm_params: Any,
) -> Sweep:
    """Submit every combination of the values; the points that are finished already are not sent again.

    Args:
        over: option -> its values, for example `{"seed": range(50), "optim.lr": [1e-6, 2e-6]}`.
        at_most: points that run at the same time; 0 = as many as Slurm starts, one on this machine.

    The rest is as for `submit`; `run_dir` is the sweep's directory, in which each point gets its own.
    """
    root, settings, tasks = points(recipe, over, nodes, overrides, tiny, cluster, slurm_params)
    lock.check_writable(root)
    for task in tasks:
        ready(task, slurm_params)
    names = [task.run_dir.name for task in tasks]
    sent = send(tasks, nodes, cluster, folder, slurm_params, at_most, names)
    listed = [
        {"name": name, "settings": setting, "run_dir": name} for name, setting in zip(names, settings, strict=True)
    ]
    swept = {key: [_text(v) for v in dict.fromkeys(row[key] for row in settings)] for key in settings[0]}
    files.write_json(root / SWEEP, {"over": swept, "points": listed})
    return Sweep(root, sent)


def dry_run_sweep(
    recipe: Recipe | str | Path,
    over: Mapping[str, Iterable[Any]],
    nodes: int = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    folder: str | Path = FOLDER,
    at_most: int = 0,
    **slurm_params: Any,
) -> str:
    """The batch script of the job array; nothing is written or sent."""
    _, _, tasks = points(recipe, over, nodes, overrides, tiny, "slurm", slurm_params)
    return preview(tasks, nodes, folder, slurm_params, at_most)


def points(
    recipe: Recipe | str | Path,
    over: Mapping[str, Iterable[Any]],
    nodes: int,
    overrides: Sequence[str],
    tiny: bool,
    cluster: str,
    params: dict[str, Any],
) -> tuple[Path, list[dict[str, str]], list[Task]]:
    """The sweep's directory, and the settings and the task of each point."""
    loaded = recipe if callable(recipe) else load_recipe(recipe)
    plain = config_for(loaded, nodes, overrides, tiny, cluster, params)
    known = [option.key for option in options(type(plain))]
    values = {whole(key, known): [_text(value) for value in those] for key, those in over.items()}
    if not values or not all(values.values()):
        raise UserError("a sweep needs at least one option with values; write seed=1..5 or optim.lr=1e-6,2e-6")
    if "run_dir" in values:
        raise UserError("run_dir cannot be swept: each point gets a directory of its own in the sweep's run_dir")
    settings = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    if len({tuple(row.values()) for row in settings}) < len(settings):
        raise UserError("the sweep has a value twice; every point needs settings of its own")
    root = Path(plain.run_dir)
    tasks = []
    for setting, name in zip(settings, _names(settings), strict=True):
        own = [*(f"{key}={value}" for key, value in setting.items()), f"run_dir={root / name}"]
        tasks.append(Task("run", config_for(loaded, nodes, [*overrides, *own], tiny, cluster, params)))
    return root, settings, tasks


def parse(texts: Sequence[str]) -> dict[str, list[str]]:
    """`["seed=1..3", "optim.lr=1e-6,2e-6"]` -> {"seed": ["1", "2", "3"], "optim.lr": ["1e-6", "2e-6"]}.

    A comma in brackets does not separate: `grpo.mix=[1,1],[1,2]`.
    """
    over: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key or not values:
            raise UserError(f"{text!r} sweeps nothing; write seed=1..5 or optim.lr=1e-6,2e-6")
        span = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", values)
        if span and int(span[1]) > int(span[2]):
            raise UserError(f"{text!r} is an empty range; write the smaller number first")
        over[key] = (
            [str(n) for n in range(int(span[1]), int(span[2]) + 1)] if span else re.split(r",(?![^\[]*\])", values)
        )
    return over


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value!r}".replace(" ", "")


def _names(settings: list[dict[str, str]]) -> list[str]:
    """`seed_3-lr_1e-6`: readable, and the same for the same point whatever else is swept over with it."""
    leaves = [key.rpartition(".")[2] for key in settings[0]]
    keys = leaves if len(set(leaves)) == len(leaves) else [key.replace(".", "_") for key in settings[0]]
    names = []
    for setting in settings:
        values = [re.sub(r"[^A-Za-z0-9.+-]+", "_", value).strip("_") for value in setting.values()]
        names.append("-".join(f"{key}_{value}" for key, value in zip(keys, values, strict=True)))
    if len(set(names)) < len(names) or max(map(len, names)) > _LONGEST_NAME:
        return [f"point_{n:0{len(str(len(settings) - 1))}d}" for n in range(len(settings))]
    return names
