"""From a recipe, a list of overrides and `--tiny` to the config that runs."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from fleming_nemo.config import overrides, presets
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.launch import slurm_env

Config = TypeVar("Config", RunConfig, DemoConfig)
Recipe = Callable[..., RunConfig | DemoConfig]

ARGUMENTS = {
    "gpus": "GPUs of the whole run, by which the recipe chooses its layout",
    "seq_length": "longest sequence, by which the recipe chooses its layout",
}
"""What a recipe may ask for besides overrides; each becomes an option of its command line."""


def load_recipe(path: str | Path) -> Recipe:
    """The function `recipe` of a recipe file."""
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no recipe {file}; give the path of a file like recipes/sft_7b.py")
    spec = importlib.util.spec_from_file_location(f"fleming_recipe_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is not a Python file; give the path of a file like recipes/sft_7b.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "recipe", None)):
        raise UserError(f"{file} defines no function `recipe`; see recipes/sft_7b.py for one that does")
    return module.recipe


def arguments(recipe: Recipe) -> dict[str, int]:
    """Those of ARGUMENTS that a recipe takes, with its defaults."""
    taken = inspect.signature(recipe).parameters
    return {name: taken[name].default for name in ARGUMENTS if name in taken}


def resolve(
    recipe: Recipe,
    changes: Sequence[str] = (),
    tiny: bool = False,
    gpus: int | None = None,
    seq_length: int | None = None,
) -> RunConfig | DemoConfig:
    """Call the recipe, shrink it if asked, then apply the overrides: what is written on the command line wins.

    A recipe whose layout goes by the number of GPUs gets `gpus`; without it, the number of processes that torchrun or
    srun started (a run in small has a size of its own); without those, its own default.  The others have one layout.
    """
    if gpus is None and not tiny:
        gpus = _started_processes(os.environ)
    given = {name: n for name, n in (("gpus", gpus), ("seq_length", seq_length)) if n is not None}
    taken = arguments(recipe)
    if "seq_length" in given and "seq_length" not in taken:
        raise UserError("this recipe has one layout for all lengths; set train.seq_length instead of --seq-length")
    cfg = recipe(**{name: n for name, n in given.items() if name in taken})
    if isinstance(cfg, DemoConfig):
        return overrides.apply(presets.quick(cfg) if tiny else cfg, changes)
    if not tiny:
        return overrides.apply(cfg, changes)
    small = presets.tiny(cfg)
    out = overrides.apply(small, changes)
    if out.data.dir == small.data.dir:
        out.data.dir = f"{out.run_dir}/data"  # it lies inside the run directory, which may have been moved
    return out


def _started_processes(environ: Mapping[str, str]) -> int | None:
    """Processes of the run that this one belongs to; None for one that was started alone."""
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return int(environ["WORLD_SIZE"])
    return int(environ["SLURM_NTASKS"]) if slurm_env.is_step_of_many(environ) else None
