"""The `exp_manager` block as NeMo documents it (nemo/utils/exp_manager.py), and what of a run it decides.

The run directory stays the one place that knows of a run: the block only chooses which it is, and whether one that is
there may be gone on with; loggers repeat what metrics.jsonl says (`follow`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.launch import cluster, markers
from fleming_nemo.training import checkpoint_files

VERSION = "NEMO_EXPM_VERSION"
"""NeMo's environment variable for the version of all processes of an experiment."""


def run_dir(block: ExpManager, environ: Mapping[str, str], now: float | None = None) -> Path:
    """The folder of the run: `explicit_log_dir`, beside which `name` only names it, else `exp_dir`/`name`/`version`.

    A version that is not given is none at all under `resume_if_exists`, so that the next job finds the run; otherwise
    the time (seconds since the epoch, `now`), or `version_N` with the next free N.  Ranks that torchrun or srun started
    cannot agree on a time, so theirs is the number of the job.

    Raises:
        UserError: `explicit_log_dir` beside `exp_dir` or `version`, which NeMo ignores.
    """
    if block.explicit_log_dir:
        if block.exp_dir or block.version:
            raise UserError("exp_manager.explicit_log_dir is the whole path; unset exp_manager.exp_dir and version")
        return Path(block.explicit_log_dir)
    folder = Path(block.exp_dir or "nemo_experiments") / (block.name or "default")
    version = block.version or environ.get(VERSION)
    if version or block.resume_if_exists:
        return folder / version if version else folder
    job = environ.get("TORCHELASTIC_RUN_ID") or environ.get("SLURM_JOB_ID")
    if job and cluster.is_worker(environ):
        return folder / f"job_{job}"
    if block.use_datetime_version:
        return folder / time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(now))
    taken = [path.name.removeprefix("version_") for path in folder.glob("version_*")]
    return folder / f"version_{max((int(n) for n in taken if n.isdigit()), default=-1) + 1}"


def check(block: ExpManager, folder: Path) -> None:
    """Whether the run in `folder` may be gone on with, or begun.

    Raises:
        UserError: there is a run and `resume_if_exists` is off; there is none, and it is on without
            `resume_ignore_no_checkpoint`; or it has finished and `resume_past_end` is off.
    """
    there = bool(checkpoint_files.steps(folder))
    finished = (folder / markers.DONE).exists()
    if finished and not block.resume_if_exists:
        raise UserError(
            f"{folder} is finished; set exp_manager.resume_if_exists and resume_past_end to true for its result, or "
            "another version"
        )
    if finished and not block.resume_past_end:
        raise UserError(f"{folder} is finished; set exp_manager.resume_past_end=true for its result, or another name")
    if there and not block.resume_if_exists:
        raise UserError(f"{folder} holds a run; set exp_manager.resume_if_exists=true to go on, or another version")
    if not (there or finished) and block.resume_if_exists and not block.resume_ignore_no_checkpoint:
        raise UserError(
            f"{folder} has no checkpoint to go on from; set exp_manager.resume_ignore_no_checkpoint=true to begin"
        )
