"""What this node has: cores and GPUs, asked without starting CUDA."""

from __future__ import annotations

import os
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import model_parallel_size


def num_cores() -> int:
    """Cores this process may use; a container or a Slurm step may have fewer than the machine."""
    return len(os.sched_getaffinity(0))


def num_gpus() -> int:
    """CUDA devices that torch can use; torch is imported only where there is an NVIDIA driver to ask."""
    if not Path("/proc/driver/nvidia/version").exists():
        return 0
    import torch

    return torch.cuda.device_count()


def num_processes(cfg: RunConfig, gpus: int) -> int:
    """Processes to start on this node: what the parallel sizes say, else one per GPU, else one copy of the model."""
    if cfg.parallel.dp:
        return model_parallel_size(cfg) * cfg.parallel.dp
    return gpus or model_parallel_size(cfg)


def runs_on_gpus(cfg: RunConfig, processes: int, gpus: int) -> bool:
    """Whether the run goes to this node's GPUs (one process each) or, being small enough, to its CPU."""
    if 0 < processes <= gpus:
        return True
    if cfg.model.arch in CPU_SIZED:
        return False
    if gpus == 0:
        raise UserError(
            f"this machine has no GPU that torch can use, and {cfg.model.arch} needs them; "
            "try the same recipe in small with --tiny, or send it to a cluster with `fleming submit`"
        )
    raise UserError(
        f"{processes} processes need a GPU each here, but this machine has {gpus}; "
        "lower parallel.dp, or use more nodes with `fleming submit`"
    )
