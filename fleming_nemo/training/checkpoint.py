"""Checkpoints in megatron-core's torch_dist format: written under a temporary name, then renamed.

`checkpoints/step_N/` holds model and optimizer (reshardable to any layout), the RNG state of every rank, and a JSON
part with whatever the run needs besides (step, ledger, curriculum).  A directory of that name is always whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.parallel import groups
from fleming_nemo.training.engine import Engine

from megatron.core import dist_checkpointing  # isort: skip
from torch.distributed.checkpoint.api import CheckpointException  # isort: skip

STATE = "state.json"


def _folder(run_dir: Path) -> Path:
    return run_dir / "checkpoints"


def steps(run_dir: Path) -> list[int]:
    """Steps of the whole checkpoints of a run, ascending."""
    names = (p.name for p in _folder(run_dir).glob("step_*") if (p / STATE).is_file())
    return sorted(int(name.removeprefix("step_")) for name in names)


def save(engine: Engine, run_dir: Path, step: int, state: dict[str, Any], keep: int) -> None:
    """Save all of the run after `step` steps, then delete all but the newest `keep` checkpoints.

    Collective: every rank calls it.

    Raises:
        OSError: the disk is full, or the like; the earlier checkpoints are as they were.
    """
    target = _folder(run_dir) / f"step_{step}"
    temporary = target.with_name(f".step_{step}.tmp")
    if groups.rank() == 0:
        for left_over in _folder(run_dir).glob(".step_*.tmp"):
            shutil.rmtree(left_over)
        temporary.mkdir(parents=True)
    groups.barrier()
    try:
        dist_checkpointing.save(_sharded(engine, with_optimizer=True, loading=False), str(temporary))
    except CheckpointException as error:  # a BaseException: whoever reports failures would let it pass
        cause, _ = next(iter(error.failures.values()))
        free_mb = shutil.disk_usage(temporary).free >> 20  # torch's own words do not always say that the disk is full
        raise OSError(
            f"the checkpoint of step {step} could not be written ({cause}); {temporary.parent} has {free_mb} MB free"
        ) from error
    rng_states = _gather_to_first(torch.get_rng_state())
    if groups.rank() == 0:
        torch.save(rng_states, temporary / "rng.pt")
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        files.write_json(temporary / STATE, {"step": step, **state, "files": sizes})
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        for old in steps(run_dir)[:-keep]:
            shutil.rmtree(_folder(run_dir) / f"step_{old}")
    groups.barrier()


def resume(engine: Engine, run_dir: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint of this run into the engine and return its state; None where there is none."""
    available = steps(run_dir)
    groups.barrier()  # all ranks look before any of them can write the next one
    if not available:
        return None
    source = _folder(run_dir) / f"step_{available[-1]}"
    state = _checked_state(source)
    loaded = dist_checkpointing.load(_sharded(engine, with_optimizer=True, loading=True), str(source))
    engine.network.load_state_dict(loaded["model"])
    engine.optimizer.load_state_dict(loaded["optimizer"])
    rng_states = torch.load(source / "rng.pt", weights_only=True)
    if len(rng_states) == torch.distributed.get_world_size():
        torch.set_rng_state(rng_states[groups.rank()])
    return state


def load_weights(engine: Engine, run_dir: Path) -> int:
    """Start from the weights of an earlier stage's newest checkpoint, under any layout; returns its step."""
    available = steps(run_dir)
    if not available:
        raise UserError(f"{run_dir} has no checkpoint to start from; run the stage before first")
    source = _folder(run_dir) / f"step_{available[-1]}"
    _checked_state(source)
    loaded = dist_checkpointing.load(_sharded(engine, with_optimizer=False, loading=True), str(source))
    engine.network.load_state_dict(loaded["model"])
    engine.weights_changed()
    return available[-1]


def last_state(run_dir: Path) -> dict[str, Any]:
    """The JSON part of a run's newest checkpoint; empty where there is none (weights that no run of ours made)."""
    available = steps(run_dir)
    return _checked_state(_folder(run_dir) / f"step_{available[-1]}") if available else {}


def _checked_state(source: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint whose files all have the size that they were written with."""
    advice = "delete this directory to go on from the checkpoint before it"
    try:
        state = files.read_json(source / STATE)
    except ValueError as error:
        raise UserError(f"{source} is damaged: {STATE} cannot be read ({error}); {advice}") from error
    for name, written in state.pop("files").items():
        file = source / name
        found = file.stat().st_size if file.is_file() else 0
        if found != written:
            raise UserError(f"{source} is damaged: {name} has {found} bytes where {written} were written; {advice}")
    return state


def _sharded(engine: Engine, with_optimizer: bool, loading: bool) -> dict[str, Any]:
    # a fresh dict each time: megatron-core writes a process group into it
    metadata: dict[str, Any] = {
        "distrib_optim_sharding_type": "fully_reshardable",
        "chained_optim_avoid_prefix": True,
        "singleton_local_shards": False,
    }
    state = {"model": engine.network.sharded_state_dict(metadata=metadata)}
    if with_optimizer:
        if loading:
            _allocate_adam_states(engine.optimizer)
        state["optimizer"] = engine.optimizer.sharded_state_dict(state["model"], is_loading=loading, metadata=metadata)
    return state


def _allocate_adam_states(optimizer: Any) -> None:
    """torch's AdamW has no state before its first step, and the loader fills only what exists."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        inner = part.optimizer
        for group in inner.param_groups:
            for p in group["params"]:
                if not inner.state[p]:
                    inner.state[p] = {
                        "step": torch.tensor(0.0),
                        "exp_avg": torch.zeros_like(p),
                        "exp_avg_sq": torch.zeros_like(p),
                    }


def _gather_to_first(state: Tensor) -> list[Tensor]:
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, state)
    return states
