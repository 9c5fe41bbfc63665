"""From a recipe, a list of overrides and `--tiny` to the config that runs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from fleming_nemo.config import overrides, presets
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DemoConfig, RunConfig

Config = TypeVar("Config", RunConfig, DemoConfig)
Recipe = Callable[[], RunConfig | DemoConfig]


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


def resolve(recipe: Recipe, changes: Sequence[str] = (), tiny: bool = False) -> RunConfig | DemoConfig:
    """Call the recipe, shrink it if asked, then apply the overrides: what is written on the command line wins."""
    cfg = recipe()
    if isinstance(cfg, DemoConfig):
        return overrides.apply(presets.quick(cfg) if tiny else cfg, changes)
    if not tiny:
        return overrides.apply(cfg, changes)
    small = presets.tiny(cfg)
    out = overrides.apply(small, changes)
    if out.data.dir == small.data.dir:
        out.data.dir = f"{out.run_dir}/data"  # it lies inside the run directory, which may have been moved
    return out
