"""Where a submitted run is: at Slurm, in a process of this machine, in a row of such, or in this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Protocol

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch.queue import WAITING, Queue
from fleming_nemo.launch.scheduler import GOING, call

TURNS = "turns.json"
"""Written by `launch.in_turn`: the state of each task, by its number."""


class Place(Protocol):
    """What a handle asks of the side that runs the job; the run directory has been asked before.

    Attributes:
        cluster: `slurm`, `local`, `debug`, or `none` for a run that had been finished before.
        job_id: the scheduler's word for the job; the process id on this machine.
        folder: what submitit keeps of it.
        grace_s: how long the run directory may lag behind the news that the job has ended.
        turn: its number among the tasks of one local job; None where it is the job.
    """

    cluster: str
    job_id: str
    folder: Path
    grace_s: float
    turn: int | None

    def state(self) -> str:
        """`pending`, `running` or `ended`."""

    def why(self) -> str:
        """In a few words, why it is in this state; empty where nothing is known."""

    def output(self) -> list[Path]:
        """Files that the job itself writes, besides the logs in the run directory; they need not exist."""

    def cancel(self) -> None:
        """End it; one that has ended stays as it is."""


class Slurm:
    """A job or one task of a job array."""

    cluster, grace_s = "slurm", 10.0
    turn: int | None = None

    def __init__(self, job_id: str, folder: Path, queue: Queue) -> None:
        self.job_id, self.folder, self._queue = job_id, folder, queue
        queue.watch(job_id)

    def state(self) -> str:
        known = self._queue.look(self.job_id).state
        return "pending" if known in WAITING else "running" if known in GOING else "ended"

    def why(self) -> str:
        seen = self._queue.look(self.job_id)
        if seen.state == "CANCELLED" and seen.reason == "DependencyNeverSatisfied":
            return "cancelled, because a job that it depends on failed"
        words = {"FORGOTTEN": "", "PENDING": "waits", "RUNNING": ""}.get(
            seen.state, seen.state.lower().replace("_", " ")
        )
        reason = "" if seen.reason in ("None", "NonZeroExitCode") else seen.reason
        return ": ".join(filter(None, (words, reason))) + (f" on {seen.nodes}" if seen.nodes else "")

    def output(self) -> list[Path]:
        return [self.folder / f"{self.job_id}_0_log.{end}" for end in ("out", "err")]

    def cancel(self) -> None:
        answer = call("scancel", self.job_id)
        if answer.code and "Invalid job id" not in answer.err:
            raise UserError(f"scancel {self.job_id} failed: {' '.join(answer.err.split())}; try it again")


class Local:
    """submitit's controller process on this machine."""

    cluster, grace_s = "local", 0.5
    turn: int | None = None

    def __init__(self, job_id: str, folder: Path, job: Any = None) -> None:
        self.job_id, self.folder, self._job = job_id, folder, job

    def state(self) -> str:
        if self._job is not None:  # its parent is this process, which alone can tell an ended one from a zombie
            return "ended" if self._job.done() else "running"
        return "running" if self._is_ours() else "ended"

    def why(self) -> str:
        return ""

    def output(self) -> list[Path]:
        return [self.folder / f"{self.job_id}_0_log.{end}" for end in ("out", "err")]

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
        elif self._is_ours():
            os.kill(int(self.job_id), signal.SIGINT)

    def _is_ours(self) -> bool:
        """Whether the process lives and is that controller: numbers of processes are given again."""
        try:
            command = Path(f"/proc/{self.job_id}/cmdline").read_bytes()
        except OSError:
            return False
        return b"submitit.local" in command and str(self.folder.parent).encode() in command


class Turn:
    """One of several tasks that a single local job starts in turn."""

    cluster, grace_s = "local", 0.5

    def __init__(self, turn: int, host: Local) -> None:
        self.job_id, self.folder, self._host, self._turn = host.job_id, host.folder, host, turn
        self.turn: int | None = turn

    def state(self) -> str:
        running = self._host.state() == "running"  # asked first: what it wrote before it ended is then all there is
        own = self._noted()
        if own in ("pending", "running"):
            return own if running else "ended"
        return "ended"

    def why(self) -> str:
        return {"pending": "never started", "left": "left out, because one before it failed"}.get(self._noted(), "")

    def output(self) -> list[Path]:
        return self._host.output()

    def cancel(self) -> None:
        self._host.cancel()

    def _noted(self) -> str:
        file = self.folder / TURNS
        return files.read_json(file)[self._turn] if file.exists() else "pending"


class Debug:
    """This process, when the result is asked for."""

    cluster, grace_s = "debug", 0.0
    turn: int | None = None

    def __init__(self, job: Any) -> None:
        self.job_id, self.folder, self.job = str(job.job_id), job.paths.folder, job

    def state(self) -> str:
        return "ended" if self.job.state != "QUEUED" else "pending"

    def why(self) -> str:
        return "cancelled" if self.job.state == "CANCELLED" else ""

    def output(self) -> list[Path]:
        return []

    def cancel(self) -> None:
        self.job.cancel()


class Nowhere:
    """The run was finished before anybody submitted it again."""

    cluster, grace_s, job_id = "none", 0.0, ""
    turn: int | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state(self) -> str:
        return "ended"

    def why(self) -> str:
        return "finished before"

    def output(self) -> list[Path]:
        return []

    def cancel(self) -> None:
        pass
