"""What the ranks of a distributed test of weights do.  Every function runs on all ranks; rank 0's value counts."""

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from live_bytes import LiveBytes
from megatron.core import parallel_state

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.model import gpt, hf, hf_names, hf_save
from fleming_nemo.model.hf_files import ShardWriter
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.training import export, export_check


def several(jobs: list[tuple[str, Callable[..., Any], tuple[Any, ...]]]) -> dict[str, Any]:
    """Results of named functions below, one after the other in the same process groups."""
    return {name: function(*arguments) for name, function, arguments in jobs}


def enter(cfg: RunConfig) -> None:
    if not parallel_state.model_parallel_is_initialized():
        groups.init(cfg.parallel, seed=7)


def reexport(
    cfg: RunConfig, source: Path, out: Path, shape: ArchShape | None = None, max_shard_bytes: int = 200_000
) -> list[dict[str, int]]:
    """Import under this layout and export again; memory of every rank in bytes."""
    shape = shape or ARCHS[cfg.model.arch]
    enter(cfg)
    networks = gpt.build(shape, cfg.model, cfg.parallel)
    own = [parameter for _, parameter in hf_names.parameters(networks)]
    with LiveBytes(own) as loading:
        hf.load(networks, source, shape)
    with LiveBytes(own) as saving:
        hf.save(networks, out, shape, max_shard_bytes)
    assert everyone(hf.first_difference(networks, out, shape)) == [None] * torch.distributed.get_world_size()
    return everyone({"parameters": sum(p.nbytes for p in own), "loading": loading.peak, "saving": saving.peak})


def padding(cfg: RunConfig, source: Path, shape: ArchShape) -> list[list[float]]:
    """Sums of the embedding's and of the output's padding rows on each rank, after loading."""
    enter(cfg)
    networks = gpt.build(shape, cfg.model, cfg.parallel)
    hf.load(networks, source, shape)
    layout = groups.current()
    sums = []
    for name, parameter in hf_names.parameters(networks):
        if name in ("embedding.word_embeddings.weight", "output_layer.weight"):
            real = shape.vocab_size - layout.tp_rank * len(parameter)
            sums.append(float(parameter[max(real, 0) :].abs().sum()))
    return everyone(sums)


def difference(cfg: RunConfig, source: Path, changed: Path) -> list[str | None]:
    """What each rank finds when the folder on disk is not the one that it loaded."""
    enter(cfg)
    shape = ARCHS[cfg.model.arch]
    networks = gpt.build(shape, cfg.model, cfg.parallel)
    hf.load(networks, source, shape)
    return everyone(hf.first_difference(networks, changed, shape))


def export_run(cfg: RunConfig, run_dir: Path, out: Path, fault: str | None = None) -> list[str | None]:
    """Export a run's checkpoint; what each rank was told when that was refused."""
    enter(cfg)
    told = None
    with mock.patch.object(*FAULTS[fault]) if fault else nullcontext():
        try:
            export.write(cfg, run_dir, 2, out, max_shard_bytes=200_000)
        except UserError as error:
            told = str(error)
    return everyone(told)


def export_after_kill(cfg: RunConfig, run_dir: Path, out: Path) -> list[str | None]:
    """Export to where an export was killed after its weights were written and before they were verified."""
    assert not out.exists()
    assert list(out.with_name(f".{out.name}.tmp").glob("*.safetensors"))
    return export_run(cfg, run_dir, out)


def logits(cfg: RunConfig, source: Path, tokens: list[int]) -> torch.Tensor:
    """Logits [T, V] of the last stage, without padding."""
    enter(cfg)
    shape = ARCHS[cfg.model.arch]
    networks = gpt.build(shape, cfg.model, cfg.parallel)
    hf.load(networks, source, shape)
    found = export_check.last_stage_logits(networks, tokens)
    all_logits = everyone(None if found is None else found[:, : shape.vocab_size])
    return next(x for x in all_logits if x is not None)


def _flip(networks: Any, folder: Path, shape: ArchShape, max_shard_bytes: int) -> None:
    """One bit of the last file changes between writing and verification, as a failing disk would have it."""
    hf_save.save(networks, folder, shape, max_shard_bytes)
    if groups.rank() == 0:
        file = sorted(folder.glob("*.safetensors"))[-1]
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)


def _full_on_one_rank(self: ShardWriter, data: Any) -> None:
    layout = groups.current()
    if layout.last_stage and layout.tp_rank == 0:
        raise OSError(28, "No space left on device")
    assert self._file is not None
    self._file.write(data)


def _killed(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str | None, tuple[Any, str, Any]] = {
    "flip": (hf, "save", _flip),
    "full": (ShardWriter, "_append", _full_on_one_rank),
    "killed": (export_check, "check", _killed),
}
