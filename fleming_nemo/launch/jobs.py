"""From tasks and a wish for resources to jobs of submitit; what sbatch or submitit refuse becomes one sentence."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import submitit

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.data import files
from fleming_nemo.launch import lock, script
from fleming_nemo.launch.in_turn import InTurn
from fleming_nemo.launch.places import Debug, Local, Place, Slurm, Turn
from fleming_nemo.launch.queue import Queue
from fleming_nemo.launch.sbatch import check, refusal
from fleming_nemo.launch.task import Task

_NAMES: dict[str, str] = {
    "name": "job_name",
    "timeout_min": "time",
    "mem_gb": "mem",
    "tasks_per_node": "ntasks_per_node",
}


@dataclass
class Wish:
    """What one job asks for.

    Attributes:
        name: of the job in the queue.
        minutes: time limit, where `given` has none.
        tasks: processes on each node.
        given: the caller's own parameters, in sbatch's words or submitit's.
        after: id of a job that must have succeeded.
        settings: variables of slurm/lib.sh, for example PREFLIGHT.
    """

    name: str
    nodes: int = 1
    tasks: int = 1
    gpus: int = 0
    minutes: int = 4 * 60
    given: dict[str, Any] = field(default_factory=dict)
    after: str = ""
    settings: dict[str, str] = field(default_factory=dict)


class _Batch(submitit.SlurmExecutor):
    """submitit's, which needs no Slurm on this machine to write its script."""

    @classmethod
    def affinity(cls) -> int:
        return 2

    def text(self, count: int) -> str:
        """The script that would be submitted for so many tasks of an array, or for one job."""
        if count > 1:
            self.parameters["map_count"] = count  # as submitit itself does for an array
        return self._make_submission_file_text(self._submitit_command_str, "")


def new_folder(parent: str | Path, name: str) -> Path:
    """A folder that no other submission has, which a job may write into before submitit has made its own."""
    parent = Path(parent)
    lock.check_writable(parent, "folder", "--folder ")
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-{time.strftime('%m%d-%H%M%S')}-", dir=parent))


def preview(tasks: Sequence[Task], wish: Wish, folder: str | Path, at_most: int = 0) -> str:
    """The batch script that `to_slurm` would submit."""
    return _executor(tasks, wish, folder, at_most).text(len(tasks))


def to_slurm(tasks: Sequence[Task], wish: Wish, folder: str | Path, queue: Queue, at_most: int = 0) -> list[Place]:
    """One job, or one job array of which `at_most` tasks run at the same time.

    Errors: UserError with sbatch's own words and where to look.
    """
    if not shutil.which("sbatch"):
        raise UserError("there is no sbatch on this machine; submit from a login node, or use cluster='local'")
    own = new_folder(folder, wish.name)
    executor = _executor(tasks, wish, own, at_most)
    for n, task in enumerate(tasks):
        files.write_text(own / script.CONFIG.format(n), to_yaml(task.cfg))
    try:
        check(_executor(tasks, wish, own, at_most).text(len(tasks)))
        with redirect_stderr(StringIO()):  # where submitit repeats what sbatch said
            sent = executor.submit_array(tasks)
    except UserError:
        shutil.rmtree(own, ignore_errors=True)
        raise
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        shutil.rmtree(own, ignore_errors=True)
        raise refusal(str(error)) from error
    return [Slurm(str(job.job_id), job.paths.folder, queue) for job in sent]


def to_this_machine(
    tasks: Sequence[Task], folder: str | Path, cluster: str, given: dict[str, Any], gpus: int, at_most: int, stop: bool
) -> list[Place]:
    """A process of this machine that starts the tasks in turn, or this process when the results are asked for.

    Args:
        stop: whether a failure keeps the tasks behind it from starting.
    """
    own = new_folder(folder, tasks[0].run_dir.name)
    executor = submitit.AutoExecutor(folder=own, cluster=cluster)
    defaults = {"tasks_per_node": 1, "gpus_per_node": gpus, "timeout_min": 7 * 24 * 60}
    named = {k if k in _COMMON or k.startswith("slurm_") else f"slurm_{k}": v for k, v in given.items()}
    try:
        executor.update_parameters(**(defaults | named))
    except (NameError, ValueError, TypeError) as error:
        shutil.rmtree(own, ignore_errors=True)
        raise UserError(f"submitit refuses the parameters: {str(error).splitlines()[0]}") from error
    if cluster == "debug":
        return [Debug(executor.submit(task)) for task in tasks]
    with _heeding_sigint():
        job = executor.submit(tasks[0] if len(tasks) == 1 else InTurn(list(tasks), at_most, stop))
    host = Local(str(job.job_id), job.paths.folder, job)
    return [host] if len(tasks) == 1 else [Turn(n, host) for n in range(len(tasks))]


_COMMON = {"name", "timeout_min", "mem_gb", "tasks_per_node", "gpus_per_node", "cpus_per_task", "stderr_to_stdout"}
"""What submitit calls the same on every cluster; anything else is a parameter of sbatch."""


def _executor(tasks: Sequence[Task], wish: Wish, folder: str | Path, at_most: int) -> _Batch:
    given = {k.removeprefix("slurm_"): v for k, v in wish.given.items()}
    known = submitit.SlurmExecutor._valid_parameters()
    srun_args = given.pop("srun_args", ())
    more = {"requeue": True, "kill-on-invalid-dep": "yes", "signal": script.SIGNAL}
    more["export"] = script.allowed(os.environ, str(given.pop("export", "")))
    if wish.after:
        more["dependency"] = f"afterok:{wish.after}"
    more |= given.pop("additional_parameters", {})
    per_node = int(given.get("tasks_per_node", wish.tasks))
    asked: dict[str, Any] = {
        "job_name": wish.name,
        "nodes": wish.nodes,
        "ntasks_per_node": per_node,
        "time": wish.minutes,
    }
    if wish.gpus:
        asked |= {"gpus_per_node": wish.gpus, "exclusive": True}
    site = script.site_env(os.environ)
    for name, value in {**script.asked_for(site), **given}.items():
        theirs = _NAMES.get(name, name)
        if theirs in known:
            asked[theirs] = f"{value}GB" if name == "mem_gb" else value
        else:  # sbatch knows many that submitit does not
            more[name.replace("_", "-")] = value
    if at_most:
        asked["array_parallelism"] = at_most
    runs = [task.run_dir for task in tasks]
    setup = script.before(runs, Path(folder), per_node, site, srun_args, wish.settings)
    # What the caller sees as `python` starts every rank; submitit's own srun would know nothing of signals and logs.
    python = f"{script.RANKS} {shlex.quote(sys.executable)}"
    executor = _Batch(folder=folder, max_num_timeout=_OUR_OWN_BUDGET, python=python)
    asked.setdefault("wckey", None)  # submitit's own is refused by clusters that keep a list of them
    asked |= {"setup": [*asked.get("setup", ()), *setup], "use_srun": False}
    try:
        executor.update_parameters(**asked, additional_parameters=more)
    except (ValueError, TypeError) as error:
        raise UserError(f"submitit refuses the parameters: {str(error).splitlines()[0]}") from error
    return executor


_OUR_OWN_BUDGET = 1_000_000
"""Restarts that submitit allows: `launch.attempt` counts them by their cause instead."""


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
