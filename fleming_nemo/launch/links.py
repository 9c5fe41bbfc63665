"""What the links of a chain are: the recipes' stages, and what has to happen before, between and after them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config import overrides as options
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.syntheses import NONE
from fleming_nemo.launch import lock, preflight
from fleming_nemo.launch.resolve import Recipe, load_recipe
from fleming_nemo.launch.send import config_for
from fleming_nemo.launch.task import Task

RUN_DIR = "runs/chain"
EVALUATION = "evaluation"


def links(
    recipes: Sequence[Recipe | str | Path],
    nodes: int | Mapping[str, int],
    overrides: Sequence[str],
    tiny: bool,
    cluster: str,
    params: dict[str, Any],
) -> tuple[Path, dict[str, Task]]:
    """The chain's directory, and the task of each link by its name, in their order; the arguments of `submit_chain`."""
    by_stage = _by_stage(recipes)
    own: dict[str, list[str]] = {name: [] for name in (*by_stage, EVALUATION)}
    shared, root = [], Path(RUN_DIR)
    for text in overrides:
        stage, _, rest = text.partition(".")
        if text.startswith("run_dir="):
            root = Path(text.removeprefix("run_dir="))
        elif stage in own:
            own[stage].append(rest)
        else:
            shared.append(text)
    lock.check_writable(root)
    tasks: dict[str, Task] = {}
    before: RunConfig | None = None
    for name, recipe in by_stage.items():
        stage_cfg = config_for(recipe, nodes_of(nodes, name), [*shared, *own[name]], tiny, cluster, params)
        assert isinstance(stage_cfg, RunConfig)
        stage_cfg.run_dir = str(root / name)
        if before is not None:
            stage_cfg.model.weights = before.run_dir
        _add_data(tasks, root, stage_cfg, "dependency" in params)
        if stage_cfg.task == "grpo" and stage_cfg.grpo.curriculum == "mined":
            tasks[f"{name}-mining"] = Task("mine", stage_cfg)
        tasks[name] = Task("run", stage_cfg)
        before = stage_cfg
    assert before is not None
    last = options.apply(before, own[EVALUATION])
    last.task, last.stage, last.run_dir = "evaluate", EVALUATION, str(root / EVALUATION)
    last.model.weights = before.run_dir
    tasks[EVALUATION] = Task("evaluate", last)
    return root, tasks


def nodes_of(nodes: int | Mapping[str, int], stage: str) -> int:
    """Nodes of a stage; one that is not named gets as many as the last one named."""
    return nodes if isinstance(nodes, int) else nodes.get(stage, list(nodes.values())[-1])


def _by_stage(recipes: Sequence[Recipe | str | Path]) -> dict[str, Recipe]:
    """The recipes by the names of their stages, which tell their directories apart."""
    found: dict[str, Recipe] = {}
    for given in recipes:
        recipe = given if callable(given) else load_recipe(given)
        cfg = recipe()
        if not isinstance(cfg, RunConfig):
            raise UserError("the demo is a chain of its own; give the recipes of the stages, recipes/sft_7b.py first")
        if cfg.stage in found:
            raise UserError(f"two recipes of the chain are of stage {cfg.stage}; give one for each stage")
        found[cfg.stage] = recipe
    if not found:
        raise UserError("a chain needs recipes, for example recipes/sft_7b.py recipes/grpo_stage1_7b.py")
    return found


def _add_data(tasks: dict[str, Task], root: Path, stage: RunConfig, later: bool) -> None:
    """A link that builds the stage's data, if a synthesis is named; data that cannot be built here has to be there.

    Args:
        later: it may be built by a job that the chain waits for.
    """
    if stage.data.synthesis == NONE:
        if not later:
            preflight.prepare_data(stage)
        return
    stage.data.dir = str(root / "data")
    if "data" not in tasks:
        prepare = copy.deepcopy(stage)
        prepare.run_dir = str(root / "prepare")
        tasks["data"] = Task("data", prepare)
