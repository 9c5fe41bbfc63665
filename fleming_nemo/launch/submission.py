"""The handle of a submitted run.

What a job is doing is read from the run directory first, then asked of the scheduler.  Accounting is not needed: many
clusters have none, and submitit alone would wait for ever for a job that died silently.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch import attempts, markers
from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.places import Debug, Local, Nowhere, Place, Slurm, Turn
from fleming_nemo.launch.queue import Queue

SUBMITTED = "submitted.json"
"""In the run directory: the newest submission, by which another process finds it again."""


class JobFailed(Exception):
    """The job ended without a result; says why and where its log is."""


class Submission:
    """One submitted run.

    Attributes:
        name: of the link in its chain, of the point in its sweep; the name of the run directory otherwise.
        run_dir: the run's directory, as seen from here.
    """

    def __init__(
        self, run_dir: Path, place: Place, name: str = "", submitted: float | None = None, to_its_end: bool = False
    ) -> None:
        """`to_its_end`: the job does something more after the run's DONE, and is not done before."""
        self.run_dir = run_dir
        self.name = name or run_dir.name
        self._to_its_end = to_its_end
        self._place = place
        self._submitted = time.time() if submitted is None else submitted

    @property
    def job_id(self) -> str:
        return self._place.job_id

    @property
    def cluster(self) -> str:
        return self._place.cluster

    @property
    def folder(self) -> Path:
        return self._place.folder

    @property
    def state(self) -> str:
        """`pending`, `running`, `done` or `failed`."""
        done = (self.run_dir / markers.DONE).exists()
        if done and not self._to_its_end:
            return "done"
        state = self._place.state()
        if state == "ended":
            return "done" if done or (self.run_dir / markers.DONE).exists() else "failed"
        return state

    @property
    def why(self) -> str:
        """Why the job is in its state, where anybody knows."""
        return self._place.why() if self.state != "done" else ""

    @property
    def attempts(self) -> list[Attempt]:
        """How often the run was started, and why each attempt ended."""
        return attempts.read(self.run_dir)

    def logs(self) -> str:
        """What rank 0 of the newest attempt has written so far, then what the job itself said."""
        paths = [self.run_dir / "logs" / "latest" / "rank_0.log", *self._place.output()]
        return "".join(path.read_text(errors="replace") for path in paths if path.is_file())

    def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the end and return rank 0's result.

        Raises:
            UserError: the run ended with a mistake that the user can repair.
            JobFailed: it ended in any other way.
            TimeoutError: it has not ended within `timeout_s`.
        """
        if isinstance(self._place, Debug) and self.state == "pending":
            return self._place.job.result()
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        patience_s, pause_s = self._place.grace_s, 1.0 if self.cluster == "slurm" else 0.2
        while (state := self.state) != "done":
            if state == "failed":
                patience_s -= pause_s
                if patience_s < 0 or self._has_said_why():
                    self._raise_failure()
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {self.job_id} is {state} after {timeout_s} s; its logs are in {self.folder}")
            time.sleep(pause_s)
        return files.read_json(self.run_dir / markers.DONE)

    def cancel(self) -> None:
        """End the job; its run directory stays and can be gone on with."""
        self._place.cancel()

    def note(self) -> None:
        """Leave SUBMITTED in the run directory."""
        place = self._place
        where = {"job": place.job_id, "cluster": place.cluster, "folder": str(place.folder), "turn": place.turn}
        files.write_json(self.run_dir / SUBMITTED, where | {"time": self._submitted})

    def _has_said_why(self) -> bool:
        """Whether the run directory tells of an end of this very job."""
        last = self.attempts[-1:]
        return any(row.cause not in (None, attempts.FINISHED) and (row.end or 0) >= self._submitted for row in last)

    def _raise_failure(self) -> None:
        failure = markers.read_failure(self.run_dir)
        # A file from before this job belongs to an earlier attempt.
        if failure is not None and failure["time"] >= self._submitted:
            if failure["kind"] == "user":
                raise UserError(failure["cause"])
            where = self.run_dir / "logs" / "latest"
            raise JobFailed(f"rank {failure['rank']} failed: {failure['cause']}; logs in {where} and {self.folder}")
        errors = [p for p in self._place.output() if p.suffix == ".err" and p.is_file()]
        said = errors[0].read_text(errors="replace").strip().splitlines()[-1:] if errors else []
        cause = "; ".join(filter(None, (self.why, *said))) or "it ended without a word (killed or cancelled?)"
        raise JobFailed(f"job {self.job_id} failed: {cause}; logs in {self.folder}")


def attach(run_dir: str | Path, queue: Queue | None = None) -> Submission | None:
    """The handle of a run that another process submitted; None for one that was never submitted."""
    file = Path(run_dir) / SUBMITTED
    if not file.is_file():
        return None
    note = files.read_json(file)
    folder, job_id = Path(note["folder"]), str(note["job"])
    place: Place = Nowhere(folder)
    if note["cluster"] == "slurm":
        place = Slurm(job_id, folder, queue or Queue())
    elif note["cluster"] == "local":
        host = Local(job_id, folder)
        place = host if note["turn"] is None else Turn(note["turn"], host)
    return Submission(Path(run_dir), place, submitted=note["time"])
