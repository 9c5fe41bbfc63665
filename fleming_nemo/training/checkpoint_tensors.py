"""Weights and optimizer of an engine as megatron-core's torch_dist format wants them, reshardable to any layout.

Tensors are found in a checkpoint by their global names (layers numbered over the whole model), so the number of model
chunks that saved them does not matter to the one that loads.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from fleming_nemo.training.engine import Engine

from megatron.core import dist_checkpointing, parallel_state  # isort: skip
from megatron.core.dist_checkpointing.serialization import get_default_save_sharded_strategy  # isort: skip
from megatron.core.dist_checkpointing.strategies.fully_parallel import FullyParallelSaveStrategyWrapper  # isort: skip


def write_request(engine: Engine, folder: Path) -> Any:
    """megatron-core's request to write the engine's tensors into `folder`; small parts are written at once."""
    # 0.17 and later would take the asynchronous strategy of a package that is no dependency of ours
    newer = "async_strategy" in inspect.signature(dist_checkpointing.save).parameters
    strategy = {"async_strategy": "mcore"} if newer else {}
    # data-parallel ranks hold the same tensors: each writes, and later sums, a part of them
    replicas = parallel_state.get_data_parallel_group(with_context_parallel=True)
    spread = FullyParallelSaveStrategyWrapper(get_default_save_sharded_strategy(), replicas)
    state = _sharded(engine, with_optimizer=True, loading=False)
    return dist_checkpointing.save(state, str(folder), spread, async_sharded_save=True, **strategy)


def load(engine: Engine, folder: Path, with_optimizer: bool) -> None:
    """Fill the engine from a checkpoint that was found to be whole."""
    loaded = dist_checkpointing.load(_sharded(engine, with_optimizer, loading=True), str(folder))
    for name, network in _chunks(engine).items():
        network.load_state_dict(loaded[name])
    if with_optimizer:
        engine.optimizer.load_state_dict(loaded["optimizer"])
    else:
        engine.weights_changed()


def _chunks(engine: Engine) -> dict[str, Any]:
    """The model chunks by the names that Megatron's own checkpoints give them."""
    networks = engine.networks
    if len(networks) == 1:
        return {"model": networks[0]}
    return {f"model{n}": network for n, network in enumerate(networks)}


def _sharded(engine: Engine, with_optimizer: bool, loading: bool) -> dict[str, Any]:
    # a fresh dict each time: megatron-core writes a process group into it
    metadata: dict[str, Any] = {
        "distrib_optim_sharding_type": "fully_reshardable",
        "chained_optim_avoid_prefix": True,
        "singleton_local_shards": False,
    }
    state = {name: network.sharded_state_dict(metadata=metadata) for name, network in _chunks(engine).items()}
    if with_optimizer:
        _allocate_adam_states(engine.optimizer)
        state["optimizer"] = engine.optimizer.sharded_state_dict(dict(state), is_loading=loading, metadata=metadata)
    return state


def _allocate_adam_states(optimizer: Any) -> None:
    """torch's AdamW has no state before its first step; the loader fills only what exists, and saving asserts it."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        inner = part.optimizer
        if not isinstance(inner, torch.optim.Adam):  # a fused one is megatron-core's own business, and has no `step`
            continue
        for group in inner.param_groups:
            for p in group["params"]:
                if not inner.state[p]:
                    inner.state[p] = {
                        "step": torch.tensor(0.0),
                        "exp_avg": torch.zeros_like(p),
                        "exp_avg_sq": torch.zeros_like(p),
                    }
