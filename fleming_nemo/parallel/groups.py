"""Process groups of a run: gloo on CPU, NCCL on GPU, and megatron-core's parallel state on top.

Import this module before anything of megatron-core: it switches the CPU backend on where there is no GPU.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from typing import Any

import torch

from fleming_nemo.config.schema import ParallelConfig
from fleming_nemo.parallel import cpu_backend, extensions

extensions.check_extensions()  # before megatron-core looks for them
cpu_backend.enable()

import torch.distributed as dist  # noqa: E402
from megatron.core import parallel_state, tensor_parallel  # noqa: E402


@dataclass(frozen=True)
class Layout:
    """Sizes and this process's place in them."""

    tp: int
    pp: int
    cp: int
    dp: int
    tp_rank: int
    pp_rank: int
    cp_rank: int
    dp_rank: int

    @property
    def first_stage(self) -> bool:
        """Whether this rank holds the embedding."""
        return self.pp_rank == 0

    @property
    def last_stage(self) -> bool:
        """Whether this rank holds the output layer."""
        return self.pp_rank == self.pp - 1

    def sizes(self) -> dict[str, int]:
        """{"tp", "pp", "cp", "dp"} as summary.json wants them."""
        return {"tp": self.tp, "pp": self.pp, "cp": self.cp, "dp": self.dp}


def init(parallel: ParallelConfig, seed: int, hang_minutes: float = 30.0) -> Layout:
    """Join the process group described by RANK, WORLD_SIZE and MASTER_*; returns this process's place.

    The sizes were checked by `config.validate`; megatron-core refuses what does not divide.  A collective operation
    without end is the watchdog's to notice, after `hang_minutes`, or twice that; the groups' own timeout, whose error
    says less, comes later.
    """
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=datetime.timedelta(minutes=3 * hang_minutes))
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=parallel.tp,
        pipeline_model_parallel_size=parallel.pp,
        virtual_pipeline_model_parallel_size=parallel.vp if parallel.vp > 1 else None,
        context_parallel_size=parallel.cp,
        distributed_timeout_minutes=3 * hang_minutes,
    )
    torch.manual_seed(seed)
    tensor_parallel.model_parallel_cuda_manual_seed(seed)
    return current()


def current() -> Layout:
    """The layout of the initialised parallel state."""
    ps = parallel_state
    return Layout(
        tp=ps.get_tensor_model_parallel_world_size(),
        pp=ps.get_pipeline_model_parallel_world_size(),
        cp=ps.get_context_parallel_world_size(),
        dp=ps.get_data_parallel_world_size(),
        tp_rank=ps.get_tensor_model_parallel_rank(),
        pp_rank=ps.get_pipeline_model_parallel_rank(),
        cp_rank=ps.get_context_parallel_rank(),
        dp_rank=ps.get_data_parallel_rank(),
    )


def shutdown() -> None:
    """Leave the process groups; a process that only exits leaves gloo's threads waiting for their peers."""
    if dist.is_initialized():
        parallel_state.destroy_model_parallel()
        dist.destroy_process_group()


def rank() -> int:
    """Rank in the whole job."""
    return dist.get_rank()


def tp_group() -> Any:
    """Tensor-parallel process group of this rank."""
    return parallel_state.get_tensor_model_parallel_group()


def device() -> torch.device:
    """Where this process's tensors live."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def gather_over_dp(value: Any) -> list[Any]:
    """One small picklable value of every data-parallel rank, in rank order, on every rank."""
    group = parallel_state.get_data_parallel_group()
    if group.size() == 1:
        return [value]
    values: list[Any] = [None] * group.size()
    dist.all_gather_object(values, value, group=group)
    return values


def barrier() -> None:
    """Wait for all ranks."""
    dist.barrier()
