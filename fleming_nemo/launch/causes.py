"""Why an attempt ended: from its exit code, from what the run left behind, and from what Slurm says."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleming_nemo.launch import attempts, markers, scheduler
from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.metrics import METRICS
from fleming_nemo.launch.node_report import bad_nodes
from fleming_nemo.training.stop import STOP, STOPPED
from fleming_nemo.training.watchdog import HEARTBEAT, HUNG

TOLD_CHARS = 300
_LOST = ("DOWN", "FAIL", "NOT_RESPONDING", "NO_RESPOND")
_ENDED = {
    "TIMEOUT": (attempts.TIME, "the job reached its time limit"),
    "NODE_FAIL": (attempts.NODE, "Slurm lost a node of the job"),
    "CANCELLED": (attempts.STOPPED, "the job was cancelled"),
    "PREEMPTED": (attempts.PREEMPTED, "a job of higher priority took the nodes"),
    "OUT_OF_MEMORY": (attempts.KILLED, "Slurm ended the job for using too much memory"),
}


@dataclass(frozen=True)
class Ending:
    """A cause with its sentence, and what the job should do about it.

    Attributes:
        requeued: Slurm has put the job back into the queue already, or ended it for good: nothing is left to do.
    """

    cause: str
    told: str
    excluded: list[str] = field(default_factory=list)
    settled: bool = False


def of_end(folder: Path, row: Attempt, code: int, warned: str | None) -> Ending:
    """The cause of an attempt whose ranks have ended.

    Args:
        code: exit code of the ranks, as srun gives it: at least one of them had it.
        warned: `time` or `preempt`, the signal by which the batch script knew that the end was near; else None.
    """
    if markers.read_done(folder) is not None:
        return Ending(attempts.FINISHED, "")
    job = scheduler.job(row.job) if row.job else None
    failure = _failure(folder, row)
    if job is not None and job.state not in ("RUNNING", "PENDING"):
        return _taken_away(row, job, warned)
    if bad := bad_nodes(folder / row.logs):
        return Ending(attempts.NODE, "; ".join(f"{name}: {told}" for name, told in bad.items()), sorted(bad))
    if code == STOPPED:
        return _on_request(folder, job, warned)
    if code == 128 + signal.SIGINT:
        return Ending(attempts.STOPPED, "interrupted by Ctrl-C or SIGTERM", settled=True)
    if lost := _lost_nodes(row):
        return Ending(attempts.NODE, _told_nodes(lost), [node.name for node in lost])
    if code == HUNG and (failure is None or failure["kind"] != "hang"):
        return Ending(attempts.HANG, "no progress, with the interpreter blocked")
    if failure is not None:
        return _of_failure(failure, code)
    if code == 2:
        return Ending(attempts.USER, f"the last lines of {row.logs} say what is wrong")
    if code > 128:
        return Ending(attempts.KILLED, _killed(code))
    if code == 0:
        return Ending(attempts.CRASH, "all ranks ended with exit code 0, and the run is not finished")
    return Ending(attempts.CRASH, f"exit code {code} without a word; see {row.logs}")


def of_vanished(folder: Path, row: Attempt, restart: int, same_job: bool) -> tuple[Ending, float]:
    """The cause of an attempt that nobody completed, and when there was a last sign of it (seconds since the epoch).

    Args:
        restart: how often the job that asks has been requeued.
        same_job: whether it is the job of that attempt.
    """
    signs = [file.stat().st_mtime for file in (folder / HEARTBEAT, folder / METRICS) if file.exists()]
    end = max([row.start, *(time for time in signs if time > row.start)])
    failure = _failure(folder, row)
    if failure is not None and failure["kind"] != "lost":
        return _of_failure(failure, failure["exit_code"]), end
    if lost := _lost_nodes(row, restarted=True):
        return Ending(attempts.NODE, _told_nodes(lost), [node.name for node in lost if node.broken]), end
    if same_job and restart > row.restart:
        told = "Slurm put the job back into the queue and left it no time to say why"
        return Ending(attempts.REQUEUED, told), end
    job = scheduler.job(row.job) if row.job and not same_job else None
    if job is not None and job.state in _ENDED:
        return Ending(*_ENDED[job.state]), end
    if failure is not None:
        return _of_failure(failure, failure["exit_code"]), end
    return Ending(attempts.VANISHED, "it ended without a word (killed, or its machine switched off)"), end


def _taken_away(row: Attempt, job: scheduler.Job, warned: str | None) -> Ending:
    """Slurm itself is ending the job: `COMPLETING` while the batch script still runs, or a final state."""
    if job.restarts > row.restart:
        if lost := _lost_nodes(row):
            return Ending(attempts.NODE, _told_nodes(lost), settled=True)
        if warned or job.preempted:
            return Ending(attempts.PREEMPTED, "a job of higher priority took the nodes", settled=True)
        return Ending(attempts.REQUEUED, "somebody put the job back into the queue (scontrol requeue)", settled=True)
    known = {"TimeLimit": "TIMEOUT"}.get(job.reason, job.state)
    if known not in _ENDED and job.start + job.limit_s <= time.time():
        known = "TIMEOUT"
    cause, told = _ENDED.get(known, _ENDED["CANCELLED"])
    return Ending(cause, told, settled=True)


def _on_request(folder: Path, job: scheduler.Job | None, warned: str | None) -> Ending:
    """The ranks saved and left because something asked them to."""
    if (folder / STOP).exists():
        return Ending(attempts.STOPPED, f"{folder / STOP} asked for it; delete that file to go on", settled=True)
    if warned == "preempt" or (job is not None and job.preempted):
        return Ending(attempts.PREEMPTED, "a job of higher priority took the nodes; the run was saved before")
    if warned == "time":
        return Ending(attempts.TIME, "the time limit was near; the run was saved before")
    return Ending(attempts.STOPPED, "a signal asked for it; the run was saved before")


def _of_failure(failure: dict[str, Any], code: int) -> Ending:
    """What FAILED.json says."""
    first_line = failure["cause"].strip().split("\n")[0][:TOLD_CHARS]
    told = f"rank {failure['rank']} on {failure['host']}: {first_line}"
    if failure["kind"] == "user":
        return Ending(attempts.USER, failure["cause"])
    if failure["kind"] == "hang":
        return Ending(attempts.HANG, f"rank {failure['rank']} on {failure['host']} made {failure['cause']}")
    if failure["kind"] == "lost":
        killed = f"{_killed(code)}; " if code > 128 else "a rank ended without a word; "
        return Ending(attempts.KILLED, killed + told.split(". ")[0])  # gloo goes on with advice
    return Ending(attempts.KILLED if failure["exit_code"] > 128 else attempts.CRASH, told)


def _killed(code: int) -> str:
    """The words for an exit code above 128."""
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"a rank ended with exit code {code}"
    return f"a rank was killed by {name}" + " (out of memory?)" * (name == "SIGKILL")


def _failure(folder: Path, row: Attempt) -> dict[str, Any] | None:
    """FAILED.json, if it is of this attempt."""
    failure = markers.read_failure(folder)
    return failure if failure is not None and failure["time"] >= row.start else None


def _lost_nodes(row: Attempt, restarted: bool = False) -> list[scheduler.Node]:
    """Nodes of an attempt that Slurm has lost; with `restarted` also those whose daemon came up during it."""
    found = scheduler.nodes(row.nodes)
    return [
        node
        for node in found
        if any(word in node.state.replace("*", "+NOT_RESPONDING").split("+") for word in _LOST)
        or (restarted and node.slurmd_start > row.start)
    ]


def _told_nodes(nodes: list[scheduler.Node]) -> str:
    return "; ".join(f"{node.name}: {node.reason or 'its Slurm daemon was started anew'}" for node in nodes)
