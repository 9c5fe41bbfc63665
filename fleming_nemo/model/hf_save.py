"""Write the model chunks of all ranks as one Hugging Face folder of shards of bounded size.

The first tensor-parallel rank of each pipeline stage writes the stage's own shards, so nothing but one tensor at a
time moves between ranks, and only inside a tensor-parallel group.  Who writes what is computed beforehand from names
and shapes; final file names are known before the first byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape
from fleming_nemo.data import files
from fleming_nemo.model import hf_config, hf_names
from fleming_nemo.model.hf_files import DTYPES, INDEX, SINGLE, Entry, ShardWriter
from fleming_nemo.model.hf_names import Piece
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import raise_together

from megatron.core import parallel_state  # isort: skip

MAX_SHARD_BYTES = 4_500_000_000
"""Tensor bytes of one file; a single larger tensor still gets a file of its own."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Shard:
    """One file of the folder."""

    name: str
    entries: list[Entry]


def save(networks: list[Any], folder: Path, shape: ArchShape, max_shard_bytes: int = MAX_SHARD_BYTES) -> None:
    """Write safetensors in the parameters' own type, index and config.json into `folder`, which may be new.

    Collective: every rank calls it; of equal replicas the first writes.  Not atomic: a caller that needs that gives a
    temporary folder and renames it.

    Raises:
        OSError: on every rank, where one could not write.
    """
    layout = groups.current()
    sources = _sources(networks, shape)
    problem: OSError | None = None
    plan: list[list[Shard]] = []
    if layout.dp_rank == layout.cp_rank == 0:
        plan = _plan(_entries_of_stages(sources, shape), max_shard_bytes)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = error
        for shard in plan[layout.pp_rank]:
            failed = _write(shard, sources, folder)  # also after a failure: other ranks have their part in it
            problem = problem or failed
    if groups.rank() == 0 and problem is None:
        problem = _describe(folder, shape, plan)
    raise_together(problem)


def _sources(networks: list[Any], shape: ArchShape) -> dict[str, tuple[Piece, Tensor]]:
    """Where each Hugging Face tensor of this stage lies; the last stage's copy of a tied embedding is left out."""
    found: dict[str, tuple[Piece, Tensor]] = {}
    for name, parameter in hf_names.parameters(networks):
        if name == "output_layer.weight" and shape.tied:
            continue
        if parameter.dtype not in _NAMES:
            raise UserError(f"{name} is of type {parameter.dtype}; only {', '.join(_NAMES.values())} can be exported")
        found |= {piece.key: (piece, parameter) for piece in hf_names.pieces(name, shape)}
    return found


def _entries_of_stages(sources: dict[str, tuple[Piece, Tensor]], shape: ArchShape) -> list[list[Entry]]:
    """What each pipeline stage holds, in the order of its parameters."""
    sizes = hf_names.shapes(shape)
    mine = [Entry(key, _NAMES[parameter.dtype], sizes[key]) for key, (_, parameter) in sources.items()]
    group = parallel_state.get_pipeline_model_parallel_group()
    stages: list[Any] = [mine]
    if group.size() > 1:
        stages = [None] * group.size()
        dist.all_gather_object(stages, mine, group=group)
    return stages


def _plan(stages: list[list[Entry]], max_shard_bytes: int) -> list[list[Shard]]:
    """The files of each stage, filled in order up to `max_shard_bytes` and numbered over all stages."""
    parts: list[list[list[Entry]]] = []
    for entries in stages:
        parts.append([])
        room = 0
        for entry in entries:
            if entry.nbytes > room:
                parts[-1].append([])
                room = max_shard_bytes
            parts[-1][-1].append(entry)
            room -= entry.nbytes
    total, number = sum(map(len, parts)), 0
    plan: list[list[Shard]] = []
    for stage in parts:
        plan.append([])
        for part in stage:
            number += 1
            plan[-1].append(Shard(SINGLE if total == 1 else f"model-{number:05d}-of-{total:05d}.safetensors", part))
    return plan


def _write(shard: Shard, sources: dict[str, tuple[Piece, Tensor]], folder: Path) -> OSError | None:
    """Write one file of this stage together with the other tensor-parallel ranks; what went wrong on this one."""
    group = groups.tp_group()
    writer = ShardWriter(folder / shard.name, shard.entries) if group.rank() == 0 else None
    for entry in shard.entries:
        piece, parameter = sources[entry.key]
        whole = _gather(piece, parameter, group)
        if writer is not None and whole is not None:
            writer.write(whole[: entry.shape[0]])  # without the padding rows of a vocabulary
        del whole  # before the next one is gathered
    if writer is None:
        return None
    writer.close()
    return writer.error


def _gather(piece: Piece, parameter: Tensor, group: Any) -> Tensor | None:
    """The whole tensor on the first rank of the group, whose cuts arrive one after the other; None on the others."""
    cut = piece.cut(parameter)
    if piece.axis is None or group.size() == 1:
        return cut
    if group.rank() != 0:
        dist.send(cut.contiguous(), dist.get_global_rank(group, 0), group=group)
        return None
    size = list(cut.shape)
    length = size[piece.axis]
    size[piece.axis] = length * group.size()
    whole = cut.new_empty(size)
    whole.narrow(piece.axis, 0, length).copy_(cut)
    for rank in range(1, group.size()):
        place = whole.narrow(piece.axis, rank * length, length)
        arriving = place if place.is_contiguous() else torch.empty_like(cut, memory_format=torch.contiguous_format)
        dist.recv(arriving, dist.get_global_rank(group, rank), group=group)
        if arriving is not place:
            place.copy_(arriving)
    return whole


def _describe(folder: Path, shape: ArchShape, plan: list[list[Shard]]) -> OSError | None:
    """The index, where there is more than one file, and config.json; what went wrong."""
    shards = [shard for stage in plan for shard in stage]
    entries = [entry for shard in shards for entry in shard.entries]
    dtype = str(DTYPES[entries[0].dtype]).removeprefix("torch.")
    try:
        if len(shards) > 1:
            where = {entry.key: shard.name for shard in shards for entry in shard.entries}
            size = sum(entry.nbytes for entry in entries)
            files.write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": where})
        files.write_json(folder / "config.json", hf_config.config_json(shape, dtype))
    except OSError as error:
        return error
    return None
