"""The stages of a pipeline as jobs that wait for each other: data, SFT, GRPO stage 1, mining, stage 2, evaluation.

Each link starts when the one before has succeeded, and is cancelled when that has failed for good.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch.links import links, nodes_of
from fleming_nemo.launch.places import Nowhere, Place
from fleming_nemo.launch.queue import Queue
from fleming_nemo.launch.resolve import Recipe
from fleming_nemo.launch.send import FOLDER, finished, gpus_here, ready, wish
from fleming_nemo.launch.submission import Submission
from fleming_nemo.launch.task import Task

CHAIN = "chain.json"
"""In the chain's directory: name, kind and run directory of each link."""


@dataclass
class Chain:
    """The submitted links of a chain.

    Attributes:
        run_dir: the chain's directory; `fleming report` and `fleming compare` take it.
        links: their handles, in their order.
    """

    run_dir: Path
    links: list[Submission]

    @property
    def state(self) -> str:
        """`done` when the last link is, `failed` as soon as one has, else `running` or `pending`."""
        states = [link.state for link in self.links]
        if "failed" in states:
            return "failed"
        return "done" if set(states) == {"done"} else "running" if states[0] != "pending" else "pending"

    def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the last link and return its result.

        Errors: those of the first link that failed, as `Submission.result` raises them; TimeoutError.
        """
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        found: dict[str, Any] = {}
        for link in self.links:
            found = link.result(None if end == math.inf else max(0.0, end - time.monotonic()))
        return found

    def logs(self) -> str:
        """What the links have written so far, each under its name."""
        return "".join(f"== {link.name} ({link.state})\n{link.logs()}" for link in self.links)

    def cancel(self) -> None:
        """End the links that have not ended, the last one first, so that none is cancelled for the one before it."""
        for link in reversed(self.links):
            if link.state in ("pending", "running"):
                link.cancel()


def submit_chain(
    recipes: Sequence[Recipe | str | Path],
    nodes: int | Mapping[str, int] = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    cluster: str = "local",
    folder: str | Path = FOLDER,
    **slurm_params: Any,
) -> Chain:
    """Submit recipes as a chain and return one handle for all its links; finished links are not sent again.

    Before the first comes a link that builds the data, if a recipe says how; before a stage that trains on mined
    questions one that mines; behind the last one that evaluates and writes the report.  Every run lies in the chain's
    directory and starts from the weights of the one before.

    Args:
        nodes: of every link, or by the name of its stage, for example `{"sft": 2, "grpo_stage2": 4}`.
        overrides: `run_dir=...` is the chain's directory; `sft.optim.lr=2e-5` is for the stage of that name (the last
            link is called `evaluation`), `optim.lr=1e-6` for all.

    The rest is as for `submit`.
    """
    root, tasks = links(recipes, nodes, overrides, tiny, cluster, slurm_params)
    for task in tasks.values():
        ready(task, slurm_params)
    files.write_json(
        root / CHAIN,
        [{"name": n, "kind": t.kind, "run_dir": str(t.run_dir.relative_to(root))} for n, t in tasks.items()],
    )
    return Chain(root, _send(tasks, nodes, cluster, folder, slurm_params))


def dry_run_chain(
    recipes: Sequence[Recipe | str | Path],
    nodes: int | Mapping[str, int] = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    folder: str | Path = FOLDER,
    **slurm_params: Any,
) -> dict[str, str]:
    """The batch script of each link by its name; `afterok:NAME` stands where the id of the job before will be."""
    from fleming_nemo.launch import jobs

    _, tasks = links(recipes, nodes, overrides, tiny, "slurm", slurm_params)
    scripts, before = {}, ""
    for name, task in tasks.items():
        scripts[name] = jobs.preview([task], _wish(name, task, nodes, slurm_params, before), folder)
        before = name
    return scripts


def _send(
    tasks: Mapping[str, Task],
    nodes: int | Mapping[str, int],
    cluster: str,
    folder: str | Path,
    params: dict[str, Any],
) -> list[Submission]:
    from fleming_nemo.launch import jobs

    todo = {name: task for name, task in tasks.items() if not finished(task)}
    places: dict[str, Place] = {name: Nowhere(task.run_dir) for name, task in tasks.items() if name not in todo}
    if cluster == "slurm":
        queue, before = Queue(), ""
        try:
            for name, task in todo.items():
                asked = _wish(name, task, nodes, params, before)
                (places[name],) = jobs.to_slurm([task], asked, folder, queue)
                before = places[name].job_id
        except UserError:
            for name in reversed(list(places)):  # half a chain is of no use
                places[name].cancel()
            raise
    elif todo:
        gpus = max(gpus_here(task.cfg) for task in todo.values())
        sent = jobs.to_this_machine(list(todo.values()), folder, cluster, params, gpus, 1, stop=True)
        places |= dict(zip(todo, sent, strict=True))
    out = [Submission(t.run_dir, places[name], name, to_its_end=t.kind != "run") for name, t in tasks.items()]
    for link in out:
        if link.name in todo and cluster != "debug":
            link.note()
    return out


def _wish(name: str, task: Task, nodes: int | Mapping[str, int], params: dict[str, Any], before: str) -> Any:
    from fleming_nemo.launch.jobs import Wish

    if task.kind == "data":  # one process without a GPU
        given = {k: v for k, v in params.items() if k not in ("gpus_per_node", "tasks_per_node", "rollout_nodes")}
        asked = Wish(name, given=given, settings={"PREFLIGHT": "0"})
    else:
        asked = wish(task.cfg, nodes_of(nodes, name.removesuffix("-mining")), params)
        asked.name = name
    asked.after = before
    if before:  # the caller's own dependency is for the first link; the others wait for it through that
        asked.given = {k: v for k, v in asked.given.items() if k != "dependency"}
    return asked
