"""Send a recipe to a cluster, or to a process of its own on this machine, from Python."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import lock, machine
from fleming_nemo.launch.resolve import Recipe, load_recipe, resolve
from fleming_nemo.launch.submission import Submission

CLUSTERS = ("local", "slurm", "debug")
GPUS_PER_NODE = 8
"""Asked for where neither the caller nor the recipe says."""
# What submitit calls the same on every cluster; anything else is a parameter of sbatch.
_COMMON = {"name", "timeout_min", "mem_gb", "tasks_per_node", "gpus_per_node", "cpus_per_task", "stderr_to_stdout"}


@dataclass
class Job:
    """What runs on the other side: the same entry point as `python recipes/...`."""

    cfg: RunConfig | DemoConfig

    def __call__(self) -> dict[str, Any]:
        from fleming_nemo.launch.main import execute

        return execute(self.cfg)

    def checkpoint(self) -> Any:
        """What submitit submits after a preemption or time limit: the same; the run directory knows how far it is."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def submit(
    recipe: Recipe | str | Path,
    nodes: int = 1,
    overrides: Sequence[str] = (),
    tiny: bool = False,
    cluster: str = "local",
    folder: str | Path = "runs/submitted",
    **slurm_params: Any,
) -> Submission:
    """Submit a recipe and return a handle with state, logs, result and cancel.

    Args:
        recipe: a recipe function or the path of its file.
        cluster: `slurm`; `local`, a process on this machine; `debug`, inside this process when the result is asked for.
        folder: logs and pickles of the job, in a subfolder named by its id; a shared file system on a cluster.
        slurm_params: as sbatch knows them (`partition`, `account`, `qos`, `time` ...), or submitit's own names
            (`timeout_min`, `gpus_per_node`, `tasks_per_node`, `cpus_per_task`, `mem_gb`).

    Raises:
        UserError: whatever can be seen to be wrong before anything is submitted, or sbatch's own refusal.
    """
    import submitit

    if cluster not in CLUSTERS:
        raise UserError(f"there is no cluster {cluster!r}; choose one of {', '.join(CLUSTERS)}")
    if cluster != "slurm" and nodes != 1:
        raise UserError(f"cluster {cluster!r} is this one machine; use nodes=1, or cluster='slurm' for {nodes} nodes")
    gpus = nodes * slurm_params.get("gpus_per_node", GPUS_PER_NODE) if cluster == "slurm" and not tiny else None
    cfg = resolve(recipe if callable(recipe) else load_recipe(recipe), overrides, tiny, gpus)
    asked = {"nodes": nodes, "name": Path(cfg.run_dir).name, **_resources(cfg, nodes, cluster, slurm_params)}
    lock.check_writable(Path(cfg.run_dir))
    # Slurm's early signal may come before submitit has its handler, and would end the task: ignored until then.
    python = {"slurm_python": f"env --ignore-signal=USR2 {shlex.quote(sys.executable)}"} if cluster == "slurm" else {}
    executor = submitit.AutoExecutor(folder=f"{folder}/%j", cluster=cluster, **python)
    try:
        executor.update_parameters(**asked)
        with _heeding_sigint():
            job = executor.submit(Job(cfg))
    except (NameError, ValueError, TypeError) as error:
        raise UserError(f"submitit refuses the parameters: {str(error).splitlines()[0]}") from error
    except submitit.core.utils.FailedJobError as error:
        raise UserError(f"sbatch refuses the job: {' '.join(str(error).split())}") from error
    return Submission(job, Path(cfg.run_dir), cluster)


@contextmanager
def _heeding_sigint() -> Iterator[None]:
    """Processes started meanwhile end on SIGINT, by which submitit cancels a local job.

    In the background of a script SIGINT is ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _resources(cfg: RunConfig | DemoConfig, nodes: int, cluster: str, given: dict[str, Any]) -> dict[str, Any]:
    """submitit's parameters: tasks, GPUs and time, with the caller's own on top."""
    if cluster != "slurm" or isinstance(cfg, DemoConfig):
        # One task, which starts its own workers on the node.
        gpus = machine.num_gpus() if cluster != "slurm" else 0
        if isinstance(cfg, RunConfig):
            processes = machine.num_processes(cfg, gpus)
            validate(cfg, processes)
            machine.runs_on_gpus(cfg, processes, gpus)
        defaults: dict[str, Any] = {"tasks_per_node": 1, "gpus_per_node": gpus, "timeout_min": 7 * 24 * 60}
    else:
        on_gpus = cfg.model.arch not in CPU_SIZED
        per_node = given.get("gpus_per_node", GPUS_PER_NODE if on_gpus else 0)
        total = machine.num_processes(cfg, nodes * per_node)
        if total % nodes:
            raise UserError(f"{total} processes do not spread evenly over {nodes} nodes; change nodes or parallel.dp")
        validate(cfg, total)
        defaults = {"tasks_per_node": total // nodes, "gpus_per_node": per_node, "timeout_min": 4 * 60}
        defaults["slurm_srun_args"] = ["--kill-on-bad-exit=1", "--wait=60"]
    return defaults | {k if k in _COMMON or k.startswith("slurm_") else f"slurm_{k}": v for k, v in given.items()}
