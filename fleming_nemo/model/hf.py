"""Weights of this rank's part of a GPTModel, from and to a Hugging Face folder, one tensor at a time.

A rank reads only its own ranges of the tensors that it holds, so import needs no memory beyond the parameters and
one tensor; export gathers one tensor over the tensor-parallel ranks, writes it and forgets it.  Both work under any
tensor-, pipeline- and virtual-pipeline-parallel layout.  All ranks need to see the same file system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape
from fleming_nemo.model import hf_config, hf_names
from fleming_nemo.model.hf_files import DTYPES, WeightFolder
from fleming_nemo.model.hf_names import Piece
from fleming_nemo.model.hf_save import MAX_SHARD_BYTES, save
from fleming_nemo.parallel import groups

__all__ = ["MAX_SHARD_BYTES", "first_difference", "load", "open_checked", "save"]


def load(networks: list[Any], folder: Path, shape: ArchShape) -> None:
    """Fill this rank's model chunks from a Hugging Face folder of safetensors; padding rows become zero.

    Raises:
        UserError: config.json describes another network, or a tensor is missing, left over or of another shape;
            nothing was loaded.
    """
    source = open_checked(folder, shape)
    for name, parameter in hf_names.parameters(networks):
        for piece in hf_names.pieces(name, shape):
            stored, place = _stored_cut(source, piece, parameter), piece.part(parameter)
            if stored.numel() == place.numel():
                place.copy_(stored.view(place.shape))
            else:  # a vocabulary that does not divide
                place[: len(stored)].copy_(stored)
                place[len(stored) :].zero_()


def first_difference(networks: list[Any], folder: Path, shape: ArchShape) -> str | None:
    """Compare a folder with this rank's parameters: names, shapes, types and every bit of every weight.

    Returns:
        A sentence about the first difference; None where there is none.

    Raises:
        UserError: as `load` does.
    """
    source = open_checked(folder, shape)
    for name, parameter in hf_names.parameters(networks):
        for piece in hf_names.pieces(name, shape):
            if DTYPES[source.entries[piece.key].dtype] != parameter.dtype:
                return f"{piece.key} is {source.entries[piece.key].dtype} on disk and {parameter.dtype} in the model"
            stored = _stored_cut(source, piece, parameter)
            if not _same_bits(stored.to(parameter.device), piece.cut(parameter)[: len(stored)]):
                return f"{piece.key} on disk is not what the model holds"
    return None


def open_checked(folder: Path, shape: ArchShape) -> WeightFolder:
    """Open a folder that is exactly a model of this shape; a cut one would load, and speak nonsense."""
    hf_config.check(folder, shape)
    source = WeightFolder(folder)
    expected = hf_names.shapes(shape)
    if missing := sorted(expected.keys() - source.entries.keys()):
        raise UserError(f"{folder} has no tensor {missing[0]}; {hf_config.MISFIT}")
    if left_over := sorted(source.entries.keys() - expected.keys()):
        raise UserError(f"{folder} has a tensor {left_over[0]}, for which this model has no place; {hf_config.MISFIT}")
    for key, size in expected.items():
        if source.entries[key].shape != size:
            raise UserError(
                f"{folder}: {key} has shape {source.entries[key].shape} where this model needs {size}; "
                f"{hf_config.MISFIT}"
            )
    return source


def _stored_cut(source: WeightFolder, piece: Piece, parameter: Tensor) -> Tensor:
    start, stop = piece.bounds(parameter, groups.current().tp_rank, source.entries[piece.key].shape)
    return source.cut(piece.key, piece.axis, start, stop)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal as bits: NaN equals itself here, and 0 is not -0."""
    as_integers = {2: torch.int16, 4: torch.int32}[a.element_size()]
    return torch.equal(a.contiguous().view(as_integers), b.contiguous().view(as_integers))
