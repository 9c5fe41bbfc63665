"""Send one recipe to a cluster, or to a process of its own on this machine, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import lock, machine, markers
from fleming_nemo.launch.places import Nowhere, Place
from fleming_nemo.launch.queue import Queue
from fleming_nemo.launch.resolve import Recipe, load_recipe, resolve
from fleming_nemo.launch.submission import Submission, attach
from fleming_nemo.launch.task import Config, Task

CLUSTERS = ("local", "slurm", "debug")
FOLDER = "runs/submitted"
GPUS_PER_NODE = 8
"""Asked for where neither the caller nor the recipe says."""


def submit(
    recipe: Recipe | str | Path,
    nodes: int = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    cluster: str = "local",
    folder: str | Path = FOLDER,
    **slurm_params: Any,
) -> Submission:
    """Submit a recipe and return a handle with state, logs, result and cancel; a finished run is not sent again.

    Args:
        recipe: a recipe function or the path of its file.
        cluster: `slurm`; `local`, a process on this machine; `debug`, inside this process when the result is asked for.
        folder: what submitit keeps of the job, in a subfolder named by its id; a shared file system on a cluster.
        slurm_params: as sbatch knows them (`partition`, `account`, `qos`, `time`, `reservation` ...), or submitit's own
            names (`timeout_min`, `gpus_per_node`, `tasks_per_node`, `cpus_per_task`, `mem_gb`, `srun_args`, `setup`).
            `rollout_nodes` of the nodes serve rollouts, if the recipe generates by servers (default: half of several).

    Raises:
        UserError: whatever can be seen to be wrong before anything is submitted, or sbatch's own refusal.
    """
    task = Task("run", config_for(recipe, nodes, overrides, tiny, cluster, slurm_params))
    ready(task, slurm_params)
    (sent,) = send([task], nodes, cluster, folder, slurm_params)
    return sent


def dry_run(
    recipe: Recipe | str | Path,
    nodes: int = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    folder: str | Path = FOLDER,
    **slurm_params: Any,
) -> str:
    """The batch script that `submit(..., cluster="slurm")` would hand to sbatch; nothing is written or sent.

    Errors: as for `submit`, as far as they can be seen without Slurm.
    """
    task = Task("run", config_for(recipe, nodes, overrides, tiny, "slurm", slurm_params))
    return preview([task], nodes, folder, slurm_params)


def config_for(
    recipe: Recipe | str | Path,
    nodes: int,
    overrides: Sequence[str],
    tiny: bool,
    cluster: str,
    params: dict[str, Any],
) -> Config:
    """The config that runs, its layout chosen by the GPUs that are asked for."""
    if cluster not in CLUSTERS:
        raise UserError(f"there is no cluster {cluster!r}; choose one of {', '.join(CLUSTERS)}")
    if cluster != "slurm" and nodes != 1:
        raise UserError(f"cluster {cluster!r} is this one machine; use nodes=1, or cluster='slurm' for {nodes} nodes")
    gpus = nodes * params.get("gpus_per_node", GPUS_PER_NODE) if cluster == "slurm" and not tiny else None
    return resolve(recipe if callable(recipe) else load_recipe(recipe), overrides, tiny, gpus)


def ready(task: Task, params: dict[str, Any]) -> None:
    """UserError where the run directory cannot be written, holds another run, or is in the queue already."""
    lock.check_writable(task.run_dir)
    lock.check_config(task.cfg)
    before = attach(task.run_dir)
    # Who gives a dependency means to queue the run behind itself.
    if before is not None and "dependency" not in params and before.state in ("pending", "running"):
        raise UserError(
            f"{task.run_dir} is {before.state} already as job {before.job_id} ({before.cluster}); wait for it, cancel "
            "it, or give this one another run_dir=..."
        )


def send(
    tasks: Sequence[Task],
    nodes: int,
    cluster: str,
    folder: str | Path,
    params: dict[str, Any],
    at_most: int = 0,
    names: Sequence[str] = (),
) -> list[Submission]:
    """Submit those of the tasks that are not finished, all alike in what they need, as one job or one array of jobs."""
    from fleming_nemo.launch import jobs  # brings submitit along

    places: dict[int, Place] = {n: Nowhere(task.run_dir) for n, task in enumerate(tasks) if finished(task)}
    open_ones = [n for n in range(len(tasks)) if n not in places]
    todo = [tasks[n] for n in open_ones]
    sent: list[Place] = []
    if todo and cluster == "slurm":
        sent = jobs.to_slurm(todo, _one_wish(todo, nodes, params), folder, Queue(), at_most)
    elif todo:
        gpus = max(gpus_here(task.cfg) for task in todo)
        sent = jobs.to_this_machine(todo, folder, cluster, params, gpus, at_most or 1, stop=False)
    places |= dict(zip(open_ones, sent, strict=True))
    named = names or [""] * len(tasks)
    out = [Submission(task.run_dir, places[n], named[n]) for n, task in enumerate(tasks)]
    for n in open_ones:
        if cluster != "debug":
            out[n].note()
    return out


def preview(tasks: Sequence[Task], nodes: int, folder: str | Path, params: dict[str, Any], at_most: int = 0) -> str:
    from fleming_nemo.launch import jobs

    return jobs.preview(tasks, _one_wish(tasks, nodes, params), folder, at_most)


def finished(task: Task) -> bool:
    """Whether its run directory says that nothing is left to do."""
    return markers.read_done(task.run_dir) is not None


def wish(cfg: Config, nodes: int, params: dict[str, Any], after: str = "") -> Any:
    """What a run needs of Slurm: tasks, GPUs and time, with the caller's own on top."""
    from fleming_nemo.launch.jobs import Wish

    name = Path(cfg.run_dir).name
    if isinstance(cfg, DemoConfig):  # one task, which starts its own workers on the node
        return Wish(name, nodes, minutes=7 * 24 * 60, given=params, after=after, settings={"PREFLIGHT": "0"})
    given = dict(params)
    serving = int(given.pop("rollout_nodes", nodes // 2 if _generates_by_servers(cfg) else 0))
    if not 0 <= serving < nodes:
        raise UserError(f"rollout_nodes={serving} leaves none of {nodes} nodes for the trainer; ask for more nodes")
    on_gpus = cfg.model.arch not in CPU_SIZED
    per_node = given.get("gpus_per_node", GPUS_PER_NODE if on_gpus else 0)
    total, trainers = machine.num_processes(cfg, (nodes - serving) * per_node), nodes - serving
    if total % trainers:
        raise UserError(f"{total} processes do not spread evenly over {trainers} nodes; change nodes or parallel.dp")
    validate(cfg, total)
    settings = {"ROLLOUT_NODES": str(serving)} if serving else {}
    return Wish(name, nodes, total // trainers, per_node, given=given, after=after, settings=settings)


def _generates_by_servers(cfg: RunConfig) -> bool:
    """On several nodes rollout servers have nodes of their own; on one they share the trainer's GPUs."""
    return getattr(cfg.rollout, "engine", "trainer") != "trainer"


def _one_wish(tasks: Sequence[Task], nodes: int, params: dict[str, Any]) -> Any:
    """What all of them need: the tasks of an array cannot differ in that."""
    wishes = [wish(task.cfg, nodes, params) for task in tasks]
    if len({(w.tasks, w.gpus) for w in wishes}) > 1:
        sizes = ", ".join(str(n) for n in sorted({w.tasks * nodes for w in wishes}))
        raise UserError(f"the points of the sweep need {sizes} processes; sweep what needs the same number together")
    wishes[0].name = tasks[0].run_dir.parent.name if len(tasks) > 1 else wishes[0].name
    return wishes[0]


def gpus_here(cfg: Config) -> int:
    """GPUs of this machine; UserError where they are not what the run needs."""
    gpus = machine.num_gpus()
    if isinstance(cfg, RunConfig):
        processes = machine.num_processes(cfg, gpus)
        validate(cfg, processes)
        machine.runs_on_gpus(cfg, processes, gpus)
    return gpus
