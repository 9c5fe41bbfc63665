"""Where a run stands, from what it leaves in its directory and, where there is one, from Slurm.  Needs no torch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch import attempts, budget, markers, scheduler
from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.lock import CONFIG
from fleming_nemo.launch.metrics import METRICS, last_rows
from fleming_nemo.training.stop import STOP
from fleming_nemo.training.watchdog import HEARTBEAT, HEARTBEAT_S

SILENT_S = 6 * HEARTBEAT_S
"""Without a heartbeat for so long a run counts as gone, where nobody else can be asked."""
SUBMITTED = "submitted.json"
"""What a submission from Python leaves: job, cluster, folder, time."""
_ASK_S = 5.0
_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REQUEUE_FED"}


@dataclass(frozen=True)
class Status:
    """One run.

    Attributes:
        state: `finished`, `running`, `queued`, `stopped` or `not started`.
        detail: the state in a few words.
        step, steps: done, and to be done in all.
        score: `loss` or `reward` of the last step, by name.
        step_seconds, eta_s: of a running one; the evaluation at the end is not in it.
        silent_s: since the last heartbeat of a running one.
        job: id and state of its job, as Slurm says.
    """

    run: str
    state: str
    detail: str
    step: int
    steps: int | None
    score: dict[str, float] = field(default_factory=dict)
    tokens_per_second: float | None = None
    step_seconds: float | None = None
    eta_s: float | None = None
    phase: str | None = None
    silent_s: float | None = None
    job: dict[str, str] | None = None
    attempts: list[Attempt] = field(default_factory=list)


def directories(given: Path) -> list[Path]:
    """The run directory itself, or those of the stages in it, in the order of their beginning.

    Raises:
        UserError: there is neither.
    """
    if not given.is_dir():
        raise UserError(f"{given} is not a directory; give the run_dir of a run")
    if _is_run(given):
        return [given]
    stages = sorted(filter(_is_run, given.iterdir()), key=_began)
    if not stages:
        raise UserError(f"{given} holds no run: neither {attempts.ATTEMPTS} nor {METRICS} is there")
    return stages


def of(folder: Path) -> Status:
    """Where a run stands now."""
    rows, now = attempts.read(folder), time.time()
    last = (last_rows(folder) or [{}])[-1]
    beat = files.read_json(folder / HEARTBEAT) if (folder / HEARTBEAT).exists() else None
    job_id = _job_id(folder, rows)
    job = scheduler.job(job_id, limit_s=_ASK_S) if job_id else None
    state, detail = _state(folder, rows, beat, job)
    running = state == "running"
    steps, step = _steps(folder), last.get("step") or 0
    step_s = beat.get("step_seconds") if beat and running else None
    name = "reward" if "reward" in last else "loss"
    return Status(
        run=str(folder),
        state=state,
        detail=detail,
        step=step,
        steps=steps,
        score={name: last[name]} if last.get(name) is not None else {},
        tokens_per_second=last.get("tokens_per_second"),
        step_seconds=step_s,
        eta_s=(steps - step) * step_s if steps and step_s else None,
        phase=beat["phase"] if beat and running else None,
        silent_s=now - beat["time"] if beat and running else None,
        job={"id": job_id, "state": job.state} if job_id and job else None,
        attempts=rows,
    )


def _state(
    folder: Path, rows: list[Attempt], beat: dict[str, Any] | None, job: scheduler.Job | None
) -> tuple[str, str]:
    if markers.read_done(folder) is not None:
        return "finished", ""
    last = rows[-1] if rows else None
    if job is not None and job.state in _WAITING:
        reason = f" ({job.reason})" if job.reason != "None" else ""
        return "queued", f"job {_job_id(folder, rows)} waits in the queue{reason}"
    if last is None:
        age = time.time() - beat["time"] if beat else None
        if age is None or age > SILENT_S:
            return "not started" if age is None else "stopped", ""
        return "running", ""
    if last.cause is None:
        return _of_open(last, beat, job)
    if job is not None and job.state in scheduler.GOING and last.cause != attempts.USER and not _given_up(folder, rows):
        return "running", f"job {last.job} begins again"
    why = _given_up(folder, rows)
    return "stopped", f"for good: {why}" if why else "the same command goes on from the newest checkpoint"


def _of_open(last: Attempt, beat: dict[str, Any] | None, job: scheduler.Job | None) -> tuple[str, str]:
    """An attempt whose end nobody has written down."""
    where = f"on {', '.join(last.nodes) or last.host}"
    if job is not None:
        if job.state in scheduler.GOING:
            return "running", f"job {last.job} {where}"
        return "stopped", f"job {last.job} is {job.state}; the next submission goes on from the newest checkpoint"
    age = time.time() - max(last.start, beat["time"] if beat else 0.0)
    if last.job is None and last.host == attempts.host(os.environ):
        alive = Path(f"/proc/{last.pid}").exists()
    else:
        alive = age < SILENT_S
    if alive:
        return "running", where
    return "stopped", f"without a word, after a last sign {where} {age / 60:.0f} minutes ago"


def _job_id(folder: Path, rows: list[Attempt]) -> str | None:
    """The newest job of the run: one that was submitted from Python and has not begun, or that of the last attempt."""
    file = folder / SUBMITTED
    sent = files.read_json(file) if file.exists() else None
    if sent and sent["cluster"] == "slurm" and (not rows or sent["time"] > rows[-1].start):
        return str(sent["job"])
    return rows[-1].job if rows else None


def _given_up(folder: Path, rows: list[Attempt]) -> str | None:
    if (folder / STOP).exists():
        return f"{folder / STOP} asks for it; delete that file to go on"
    return budget.used_up(rows)


def _steps(folder: Path) -> int | None:
    """train.steps of the run's own config.yaml."""
    file = folder / CONFIG
    config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    return config.get("train", {}).get("steps")


def _began(folder: Path) -> float:
    return min((folder / name).stat().st_mtime for name in (CONFIG, SUBMITTED, METRICS) if (folder / name).exists())


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (attempts.ATTEMPTS, METRICS, SUBMITTED))
