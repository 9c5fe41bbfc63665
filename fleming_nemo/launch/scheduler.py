"""What Slurm's controller says of a job and of nodes.  Only squeue and scontrol are asked: many clusters have no sacct.

Every question has a time limit, for Slurm's clients try for minutes to reach a controller that is down; where there is
no answer, or no Slurm, nothing is known.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT_S = 15.0
PATIENCE_S = 30.0
"""Of a call that somebody waits for: clients of Slurm try for minutes to reach a controller that is gone."""
GOING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "SIGNALING", "RESIZING", "PREEMPTED"}
_BROKEN = ("DOWN", "FAIL", "NOT_RESPONDING", "DRAIN", "NO_RESPOND", "ERROR", "UNKNOWN")


@dataclass(frozen=True)
class Job:
    """A job as `scontrol show job` tells of it: times in seconds since the epoch, 0 where there is none."""

    state: str
    reason: str
    restarts: int
    submitted: float
    preempted: float
    limit_s: float
    """Time limit; infinite where there is none."""
    start: float
    end: float


@dataclass(frozen=True)
class Node:
    """A node as `scontrol show node` tells of it."""

    name: str
    state: str
    reason: str
    slurmd_start: float

    @property
    def broken(self) -> bool:
        """Whether no job should be sent there."""
        return any(word in self.state.replace("*", "+NOT_RESPONDING").split("+") for word in _BROKEN)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def call(*command: str, limit_s: float = PATIENCE_S) -> Answer:
    """Run a command of Slurm; one that is not there or takes too long answers with a code like any other failure."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Answer(124, "", f"{command[0]} has not answered for {limit_s:.0f} s")
    except FileNotFoundError:
        return Answer(127, "", f"there is no {command[0]} on this machine")
    return Answer(done.returncode, done.stdout, done.stderr)


def ask(*command: str, limit_s: float = LIMIT_S) -> str | None:
    """What a command of Slurm prints; None where it fails, takes too long or is not there."""
    answer = call(*command, limit_s=limit_s)
    return answer.out if answer.code == 0 else None


def job(job_id: str, limit_s: float = LIMIT_S) -> Job | None:
    """A job that the controller knows: one that waits or runs, or ended a few minutes ago."""
    said = ask("scontrol", "show", "job", "-o", job_id, limit_s=limit_s)
    if not said or "JobState=" not in said:
        return None
    values = dict(re.findall(r"(\S+?)=(\S*)", said.splitlines()[0]))  # of a heterogeneous job the first component
    return Job(
        state=values["JobState"],
        reason=values.get("Reason", ""),
        restarts=int(values.get("Restarts", 0)),
        submitted=_time(values.get("SubmitTime")),
        preempted=_time(values.get("PreemptTime")),
        limit_s=_seconds(values.get("TimeLimit", "")),
        start=_time(values.get("StartTime")),
        end=_time(values.get("EndTime")),
    )


def nodes(names: Sequence[str]) -> list[Node]:
    """The nodes of these names; none where the controller does not answer."""
    said = ask("scontrol", "show", "node", "-o", ",".join(names)) if names else None
    found = []
    for line in (said or "").splitlines():
        values = dict(re.findall(r"(\S+?)=(\S*)", line))
        if "NodeName" in values:
            reason = re.search(r" Reason=(.*?)(?: \[\S+\])?\s*$", line)
            start = _time(values.get("SlurmdStartTime"))
            found.append(Node(values["NodeName"], values.get("State", ""), reason[1] if reason else "", start))
    return found


def hosts(node_list: str) -> list[str]:
    """`node[0-1]` -> [node0, node1]; the list itself where scontrol cannot be asked."""
    said = ask("scontrol", "show", "hostnames", node_list) if node_list else ""
    return said.split() if said else [node_list] if node_list else []


def _time(text: str | None) -> float:
    try:
        return time.mktime(time.strptime(text or "", "%Y-%m-%dT%H:%M:%S"))
    except ValueError:  # None, Unknown, N/A
        return 0.0


def _seconds(text: str) -> float:
    """`1-02:03:04` -> seconds; infinite for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if match is None:
        return float("inf")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
