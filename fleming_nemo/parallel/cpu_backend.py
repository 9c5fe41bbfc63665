"""Run megatron-core on CPU and gloo: every CUDA-only call of its training path, answered in one place.

`enable()` comes before the first import of `megatron.core` and does nothing where CUDA is available.  This is the one
file of the package that reaches behind public APIs; it serves megatron-core 0.16.1 to 0.19.x.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pickle
import queue
import sys
import tempfile
import time
import types
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CPU = torch.device("cpu")
_enabled = False


def _names_cuda(device: Any) -> bool:
    return device == "cuda" if isinstance(device, str) else isinstance(device, torch.device) and device.type == "cuda"


class _CudaToCpu(TorchFunctionMode):
    """`device="cuda"` becomes cpu, `.cuda()` and `.pin_memory()` the tensor itself, `.type()` a torch.cuda name."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") is not None and _names_cuda(kwargs["device"]):
            kwargs = {**kwargs, "device": _CPU}
        if kwargs.get("pin_memory"):
            kwargs = {**kwargs, "pin_memory": False}
        if func is torch.Tensor.pin_memory or func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.type and len(args) == 1 and not kwargs:
            # clip_grads and the optimizers compare this string to decide what a parameter is
            return func(*args).replace("torch.", "torch.cuda.", 1)
        return func(*args, **kwargs)


def bypassed() -> Any:
    """A context for code that asks for no CUDA device: its many small calls do without the mode's look at each."""
    return torch._C.DisableTorchFunction() if _enabled else contextlib.nullcontext()


class _Stream:
    def __init__(self, *_: Any, **__: Any) -> None: ...

    def wait_stream(self, *_: Any) -> None: ...

    def wait_event(self, *_: Any) -> None: ...

    def synchronize(self) -> None: ...

    def record_event(self, *_: Any) -> _Stream:
        return self

    @staticmethod
    def priority_range() -> tuple[int, int]:
        return 0, 0


class _Event:
    def __init__(self, *_: Any, **__: Any) -> None:
        self.time = 0.0

    def record(self, *_: Any) -> None:
        self.time = time.perf_counter()

    def elapsed_time(self, other: _Event) -> float:
        return (other.time - self.time) * 1000

    def wait(self, *_: Any) -> None: ...

    def query(self) -> bool:
        return True

    def synchronize(self) -> None: ...


def enable() -> None:
    """Make megatron-core usable in this process; a second call and a call beside CUDA change nothing."""
    global _enabled
    if _enabled or torch.cuda.is_available():
        return
    _enabled = True
    # jit_fuser is torch.compile: it would start a C++ compiler for every fused function
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    if importlib.util.find_spec("triton") is None:
        # 0.17+ imports this one mixture-of-experts module, and with it triton, unconditionally
        name = "megatron.core.transformer.moe.ops.paged_stash"
        stand_in = types.ModuleType(name)
        stand_in.__dict__.update(GLOBAL_BLOCK_SIZE=1024, paged_stash_copy_kernel=None, paged_stash_pop_kernel=None)
        sys.modules[name] = stand_in
    cuda: Any = torch.cuda
    stream = _Stream()
    cuda.current_device = lambda: _CPU
    for name in ("synchronize", "empty_cache", "set_device", "reset_peak_memory_stats"):
        setattr(cuda, name, lambda *_, **__: None)
    cuda.current_stream = lambda *_: stream
    cuda.stream = lambda *_: contextlib.nullcontext()
    cuda.Stream, cuda.Event = _Stream, _Event
    cuda.nvtx.range_push = cuda.nvtx.range_pop = lambda *_: None
    cuda.manual_seed = torch.manual_seed
    cuda.get_rng_state = cuda.random.get_rng_state = lambda device=None: torch.get_rng_state()
    cuda.set_rng_state = lambda state, device=None: torch.set_rng_state(state)
    _CudaToCpu().__enter__()  # thread-local: megatron-core is driven from the main thread only
    _map_rng_tracker()
    _mend_adamw_resume()
    _write_checkpoints_without_manager()


def _map_rng_tracker() -> None:
    import megatron.core.tensor_parallel.random as random

    random._set_cuda_rng_state = lambda state, device=-1, graph_safe=False: torch.set_rng_state(state)
    logging.getLogger(random.__name__).addFilter(lambda record: "CPU RNG state changed" not in record.getMessage())


def _mend_adamw_resume() -> None:
    """torch's AdamW keeps a `step` tensor per parameter, which the distributed optimizer does not expect to reshard.

    Without the first patch loading raises KeyError('step'); without the second all parameters share one step tensor,
    AdamW bumps it once per parameter, and the losses after a resume are silently wrong.
    """
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer

    set_states, load = DistributedOptimizer._set_main_param_and_optimizer_states, DistributedOptimizer.load_state_dict

    def set_states_with_step(self: Any, param: Any, tensors: dict[str, Any]) -> None:
        group, index = self.model_param_group_index_map[param]
        state = self.optimizer.state.get(self.optimizer.param_groups[group]["params"][index], {})
        step = state.get("step")
        set_states(self, param, {"step": step, **tensors} if isinstance(step, torch.Tensor) else tensors)

    def load_with_own_steps(self: Any, state_dict: Any) -> None:
        load(self, state_dict)
        for state in self.optimizer.state.values():
            if isinstance(state.get("step"), torch.Tensor):
                state["step"] = state["step"].clone()

    DistributedOptimizer._set_main_param_and_optimizer_states = set_states_with_step
    DistributedOptimizer.load_state_dict = load_with_own_steps


def self_attention() -> type:
    """megatron-core's self-attention; on a CPU one whose key/value cache holds keys that are rotated already.

    megatron-core's static cache holds them as they were projected and rotates all of them again for every new token,
    which takes half of the time of generation on a CPU.
    """
    from megatron.core.models.common.embeddings import rope_utils
    from megatron.core.transformer.attention import SelfAttention

    if not _enabled:
        return SelfAttention

    class RotatedCache(SelfAttention):
        def _adjust_key_value_for_inference(
            self, inference_context: Any, query: Any, key: Any, value: Any, rotary_pos_emb: Any, *rest: Any
        ) -> Any:
            if inference_context is not None and inference_context.is_static_batching() and rotary_pos_emb is not None:
                start = inference_context.sequence_len_offset
                query, key = (
                    rope_utils.apply_rotary_pos_emb(x, angles[start : start + len(x)], config=self.config)
                    for x, angles in zip((query, key), rotary_pos_emb, strict=True)
                )
                rotary_pos_emb = None
            adjust = super()._adjust_key_value_for_inference
            return adjust(inference_context, query, key, value, rotary_pos_emb, *rest)

    return RotatedCache


class _Results:
    """Takes what the writers of a checkpoint report, also from a process forked later; leaves nothing behind.

    Its reader comes when the writing process has ended, so a file without a name does; a pipe would fill up.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the save lasts)

    def put(self, value: Any) -> None:
        pickle.dump(value, self._file)
        self._file.flush()

    def get_nowait(self) -> Any:
        self._file.seek(0)
        try:
            return pickle.load(self._file)
        except EOFError:
            raise queue.Empty from None


def _write_checkpoints_without_manager() -> None:
    """megatron-core would start a manager process for the results, which costs seconds and outlives a killed rank."""
    import megatron.core.dist_checkpointing.strategies.filesystem_async as writer

    for name in ("_get_write_results_queue", "get_write_results_queue"):  # before 0.17, and since
        if hasattr(writer, name):
            setattr(writer, name, lambda *_: _Results())
