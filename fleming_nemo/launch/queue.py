"""What Slurm's controller says of jobs: asked for many at once, not too often, never through accounting alone."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass

from fleming_nemo.launch.scheduler import GOING, call

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Seen:
    """One line of squeue. `state` is Slurm's own word, `FORGOTTEN` for a job that nobody knows any more."""

    state: str
    reason: str = ""
    nodes: str = ""


class Queue:
    """Looks at all jobs that it has been asked about with one call, at most once in a second."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._seen: dict[str, Seen] = {}
        self._asked = float("-inf")

    def watch(self, job_id: str) -> None:
        self._ids.add(job_id)

    def look(self, job_id: str) -> Seen:
        """The job's newest state; the one before, or RUNNING, while the controller does not answer."""
        if job_id not in self._ids or time.monotonic() - self._asked > _PAUSE_S:
            self.watch(job_id)
            self._refresh()
        return self._seen.get(job_id, Seen("RUNNING", "the controller does not answer"))

    def _refresh(self) -> None:
        jobs = sorted({job_id.partition("_")[0] for job_id in self._ids})
        answer = call(
            "squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N", f"--jobs={','.join(jobs)}"
        )
        self._asked = time.monotonic()
        if answer.code and "Invalid job id" not in answer.err:
            return
        rows = [line.split("|", 3) for line in answer.out.splitlines() if line.count("|") == 3]
        found = {row[0]: Seen(row[1], row[2], row[3]) for row in rows}
        for job_id in self._ids:
            self._seen[job_id] = found.get(job_id) or _accounted(job_id, self._seen.get(job_id))


def _accounted(job_id: str, last: Seen | None) -> Seen:
    """A job that the controller has dropped, by age or with its own state: perhaps there is a sacct that knows."""
    if last is not None and last.state not in WAITING | GOING:
        return last
    if shutil.which("sacct"):
        answer = call("sacct", "--noheader", "--parsable2", "--allocations", "--format=State", f"--jobs={job_id}")
        if answer.code == 0 and answer.out.strip():
            return Seen(answer.out.split()[0].partition("|")[0], "as accounted")
    return Seen("FORGOTTEN", "the controller no longer knows the job")
