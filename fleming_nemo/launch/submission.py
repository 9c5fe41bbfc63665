"""The handle of a submitted run.

What a job is doing is read from the run directory first, then from submitit's files, then from the scheduler.  sacct is
never asked: many clusters have none, and submitit alone would wait for ever for a job that died silently.
"""

from __future__ import annotations

import math
import subprocess
import time
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch import markers

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
GOING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "SIGNALING", "RESIZING", "PREEMPTED"}
RESULT_GRACE_S = {"local": 0.5, "slurm": 10.0}
"""A result file may reach this machine over a shared file system later than the news that the job ended."""


class JobFailed(Exception):
    """The job ended without a result; says why and where its log is."""


class Submission:
    """One submitted run.

    Attributes:
        job: submitit's own handle.
        run_dir: the run's directory, as seen from here.
        cluster: `local`, `slurm` or `debug`.
    """

    def __init__(self, job: Any, run_dir: Path, cluster: str) -> None:
        self.job = job
        self.run_dir = run_dir
        self.cluster = cluster
        self._submitted = time.time()

    @property
    def job_id(self) -> str:
        return str(self.job.job_id)

    @property
    def state(self) -> str:
        """`pending`, `running`, `done` or `failed`."""
        if (self.run_dir / markers.DONE).exists():
            return "done"
        if self._task().paths.result_pickle.exists():  # written when the job's function returned or raised
            return "failed"
        if self.cluster == "debug":
            return "pending"
        if self.cluster == "local":
            return "failed" if self.job.done() else "running"
        known = self._slurm_state()
        return "pending" if known in WAITING else "running" if known in GOING else "failed"

    def logs(self) -> str:
        """What rank 0 has written so far, output before errors."""
        paths = self._task().paths
        return "".join(path.read_text(errors="replace") for path in (paths.stdout, paths.stderr) if path.exists())

    def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the end and return rank 0's result.

        Raises:
            UserError: the run ended with a mistake that the user can repair.
            JobFailed: it ended in any other way.
            TimeoutError: it has not ended within `timeout_s`.
        """
        if self.cluster == "debug":
            return self.job.result()
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        patience_s = RESULT_GRACE_S[self.cluster]
        while (state := self.state) != "done":
            pause_s = 0.2 if self.cluster == "local" else 1.0
            if state == "failed":
                patience_s -= pause_s
                if patience_s < 0:
                    self._raise_failure()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"job {self.job_id} is {state} after {timeout_s} s; its logs are in {self._folder()}"
                )
            time.sleep(pause_s)
        return files.read_json(self.run_dir / markers.DONE)

    def cancel(self) -> None:
        """End the job; its run directory stays and can be gone on with."""
        self.job.cancel()

    def _raise_failure(self) -> None:
        file = self.run_dir / markers.FAILED
        failure = files.read_json(file) if file.exists() else None
        # A file from before this job belongs to an earlier attempt.
        if failure is not None and failure["time"] >= self._submitted:
            if failure["kind"] == "user":
                raise UserError(failure["cause"])
            raise JobFailed(f"rank {failure['rank']} failed: {failure['cause']}; logs in {self._folder()}")
        errors = self._task().paths.stderr
        last = errors.read_text(errors="replace").strip().splitlines()[-1:] if errors.exists() else []
        cause = last[0] if last else "it ended without a word (killed or cancelled?)"
        raise JobFailed(f"job {self.job_id} failed: {cause}; logs in {self._folder()}")

    def _task(self) -> Any:
        return self.job.task(0)

    def _folder(self) -> Path:
        return self.job.paths.folder

    def _slurm_state(self) -> str:
        """State by the controller's word; `UNKNOWN` when it has forgotten the job."""
        command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={self.job_id}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "RUNNING"  # the controller is busy; it will tell another time
        if done.returncode and "Invalid job id" not in done.stderr:
            return "RUNNING"
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "UNKNOWN"
