"""RUN/attempts.jsonl: one row for each time that somebody tried to bring a run further, with the cause of its end.

A row is written when the attempt begins and completed when it ends.  Where nobody was left to complete it, because the
node died or Slurm killed the batch script, the next one to begin does so with what it can still find out.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch import scheduler

ATTEMPTS = "attempts.jsonl"

FINISHED, STOPPED, USER = "finished", "stopped", "user error"
PREEMPTED, TIME, NODE, REQUEUED = "preempted", "time limit", "node failed", "requeued"
CRASH, KILLED, HANG, VANISHED = "crash", "killed rank", "hang", "vanished"

OUTSIDE = {PREEMPTED, TIME, NODE, REQUEUED, STOPPED}
"""Causes that say nothing against the run: it may go on as often as they come."""
FAULTS = {CRASH, KILLED, HANG, VANISHED}
"""Causes that the run may have in itself."""


@dataclass(frozen=True)
class Attempt:
    """One row.

    Attributes:
        number: from 1; its logs are in `logs/attempt_<number>`.
        start, end: seconds since the epoch; no end while it goes on.
        job, restart: of Slurm: its id, and how often it had been requeued; no job on a workstation.
        host, pid: where the row was begun.
        first_step: steps that metrics.jsonl had when it began.
        last_step: and when it ended.
        told: what is known of the cause, as a sentence.
        excluded: nodes found to be bad.
        fresh: a person submitted the run anew after the one before had ended: the budget begins anew as well.
    """

    number: int
    start: float
    host: str
    pid: int
    first_step: int
    job: str | None = None
    restart: int = 0
    nodes: list[str] = field(default_factory=list)
    fresh: bool = False
    end: float | None = None
    last_step: int | None = None
    cause: str | None = None
    told: str = ""
    exit_code: int | None = None
    excluded: list[str] = field(default_factory=list)

    @property
    def logs(self) -> str:
        """Folder of its logs, from the run directory."""
        return f"logs/attempt_{self.number}"


def read(folder: Path) -> list[Attempt]:
    """All attempts at a run, oldest first."""
    file = folder / ATTEMPTS
    if not file.exists():
        return []
    return [Attempt(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def write(folder: Path, rows: list[Attempt]) -> None:
    files.write_jsonl(folder / ATTEMPTS, [asdict(row) for row in rows])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile; waits for whoever is at it, which takes milliseconds.

    Raises:
        UserError: the run directory cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".attempts.lock", "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(
            f"cannot write to the run directory {folder}: {error.strerror}; choose another with run_dir=..."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def opened(folder: Path, environ: Mapping[str, str], first_step: int, fresh: bool) -> Attempt:
    """Add a row for an attempt that begins now, and make the folder of its logs; call it with the lock held."""
    rows = read(folder)
    number = _make_logs(folder / "logs", max((row.number for row in rows), default=0) + 1)
    row = Attempt(
        number=number,
        start=time.time(),
        host=host(environ),
        pid=os.getpid(),
        first_step=first_step,
        job=environ.get("SLURM_JOB_ID"),
        restart=int(environ.get("SLURM_RESTART_COUNT") or 0),
        nodes=scheduler.hosts(environ.get("SLURM_JOB_NODELIST", "")),
        fresh=fresh,
    )
    write(folder, [*rows, row])
    return row


def close(folder: Path, number: int, **values: object) -> Attempt:
    """Complete the row of an attempt; call it with the lock held."""
    rows = read(folder)
    done = {row.number: replace(row, **values) if row.number == number else row for row in rows}  # type: ignore[arg-type]
    write(folder, list(done.values()))
    return done[number]


def host(environ: Mapping[str, str]) -> str:
    """This node's name: Slurm's own, where there is one."""
    return environ.get("SLURMD_NODENAME") or os.uname().nodename


def _make_logs(logs: Path, number: int) -> int:
    """Make `logs/attempt_K` with the next free K from `number`, and let `logs/latest` point at it; returns K."""
    while True:
        try:
            (logs / f"attempt_{number}").mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
    link = logs / f".latest.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(f"attempt_{number}")
    link.replace(logs / "latest")
    return number
