"""One rank of a run whose processes torchrun or srun started, perhaps on several nodes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import lock, machine, markers, slurm_env
from fleming_nemo.launch.attempt import LOGS
from fleming_nemo.launch.preflight import data_is_built, prepare_data
from fleming_nemo.launch.worker import quiet_on_cpu, run_worker
from fleming_nemo.training import stop

DATA_DEADLINE_S = 3600.0
"""How long the other ranks wait for rank 0 to build the data directory."""


def is_worker(environ: Mapping[str, str]) -> bool:
    """Whether somebody else started this process as one of several ranks."""
    return ("RANK" in environ and "WORLD_SIZE" in environ) or slurm_env.is_step_of_many(environ)


def run_rank(cfg: RunConfig) -> dict[str, Any]:
    """This rank's part; rank 0 holds the run directory and builds the data while the others wait.

    Raises:
        Stopped: a signal asked for it, on this node or another one.
    """
    stop.heed()
    if "RANK" not in os.environ:
        os.environ |= slurm_env.from_slurm(os.environ)
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.num_cores() // _local_world_size())))
    validate(cfg, world_size)
    if not machine.runs_on_gpus(cfg, _local_world_size(), machine.num_gpus()):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        quiet_on_cpu()
    folder = Path(cfg.run_dir)
    result = markers.read_done(folder)
    if result is not None:
        return result
    with lock.claim(cfg) if rank == 0 else nullcontext():
        if rank == 0:
            if LOGS not in os.environ:  # else the batch script has done so, before any other rank could fail
                markers.clear_failure(folder)
            prepare_data(cfg)
        else:
            _wait_for_data(cfg)
        result = run_worker(cfg)
        if rank == 0:
            markers.write_done(folder, result)
        return result


def _local_world_size() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def _wait_for_data(cfg: RunConfig) -> None:
    """Rank 0 builds; a failure there ends this process too (srun --kill-on-bad-exit, torchrun)."""
    deadline = time.monotonic() + DATA_DEADLINE_S
    while not data_is_built(cfg):
        if time.monotonic() > deadline:
            raise UserError(f"{cfg.data.dir} was not built within an hour; see the log of rank 0")
        time.sleep(0.5)
