"""Every file in recipes/ as a NeMo-Run factory: a `run.Partial` with NeMo's conventional arguments.

    nemorun fleming train --factory "sft_7b(dir='/runs', num_nodes=2)" train.steps=10

is `recipes/sft_7b.py` for 16 GPUs with run_dir=/runs/sft_7b and that override.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Optional

import nemo_run as run
import yaml

from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.launch.resolve import Recipe, load_recipe, resolve
from fleming_nemo.nemo import tasks
from fleming_nemo.nemo.executors import GPUS_PER_NODE

NAMESPACE = "fleming"
_WRITTEN = (bool, int, float, list, NoneType)


def partial(cfg: RunConfig | DemoConfig) -> run.Partial:
    """A config as NeMo-Run's: the task to run with its sections as `run.Config`, each to be overridden."""
    task = tasks.demo if isinstance(cfg, DemoConfig) else tasks.train
    return run.Partial(task, **{f.name: _buildable(getattr(cfg, f.name)) for f in dataclasses.fields(cfg)})


def factory(name: str, recipe: Recipe) -> Callable[..., run.Partial]:
    """The factory of one recipe.

    Its arguments:
        dir: parent of the run directory; without it, that of the recipe, below the working directory.
        name: name of the run directory.
        num_nodes, num_gpus_per_node: GPUs of the whole run, by which the recipe chooses its layout.
        tiny: the recipe in small.
    """
    default = inspect.signature(recipe).parameters
    nodes = max(1, default["gpus"].default // GPUS_PER_NODE) if "gpus" in default else 1

    def make(
        dir: Optional[str] = None,  # noqa: UP045  (nemo-run cannot parse `str | None`)
        name: str = name,
        num_nodes: int = nodes,
        num_gpus_per_node: int = GPUS_PER_NODE,
        tiny: bool = False,
    ) -> run.Partial:
        gpus = None if tiny else num_nodes * num_gpus_per_node
        folder = Path(dir) if dir else Path(resolve(recipe, tiny=tiny, gpus=gpus).run_dir).parent
        return partial(resolve(recipe, [f"run_dir={folder.absolute() / name}"], tiny, gpus))

    make.__name__ = make.__qualname__ = name
    make.__doc__ = recipe.__doc__
    return make


def register(recipes: Path) -> dict[str, Callable[..., run.Partial]]:
    """Make every recipe file of a folder known to `nemorun fleming`; returns the factories by name."""
    made = {}
    for file in sorted(recipes.glob("*.py")):
        recipe = load_recipe(file)
        target = tasks.demo if isinstance(recipe(), DemoConfig) else tasks.train
        made[file.stem] = run.cli.factory(factory(file.stem, recipe), target=target, name=file.stem)
    return made


def options(**values: Any) -> dict[str, Any]:
    """Arguments for a library, each to be set by itself: `exp_manager.wandb_logger_kwargs.project=mine`.

    nemorun hands on texts, having no types to go by: those of YAML's numbers, truth values and lists become these.
    """
    read = {name: yaml.safe_load(value) if isinstance(value, str) else value for name, value in values.items()}
    return {name: new if isinstance(new, _WRITTEN) else values[name] for name, new in read.items()}


def _buildable(value: Any) -> Any:
    if isinstance(value, dict):
        return run.Config(options, **value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return list(value) if isinstance(value, list) else value
    # nemo-run's command line reads the types from here, and cannot resolve annotations that are strings
    type(value).__init__.__annotations__ = typing.get_type_hints(type(value).__init__)
    return run.Config(type(value), **{f.name: _buildable(getattr(value, f.name)) for f in dataclasses.fields(value)})


@run.cli.factory(name=NAMESPACE)
def exp_manager() -> run.Config[ExpManager]:
    """NeMo's `exp_manager` block: `exp_manager=fleming exp_manager.create_wandb_logger=true`."""
    return _buildable(ExpManager())


run.cli.entrypoint(tasks.train, namespace=NAMESPACE)
run.cli.entrypoint(tasks.demo, namespace=NAMESPACE)

RECIPES = register(Path(__file__).resolve().parents[2] / "recipes")
"""Factory of each recipe file, by its name; empty where the package is installed without its recipes."""
