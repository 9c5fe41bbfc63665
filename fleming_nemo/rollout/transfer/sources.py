"""Where each tensor of the Hugging Face model lies in the shards of the trainer's ranks.

One data- and context-parallel replica sends.  All ranks know the cuts of all others, so that they can agree without
asking which of them fills which bytes of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.model import hf_names
from fleming_nemo.model.hf_names import Piece
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import Entry, Plan, Span


@dataclass(frozen=True)
class Cut:
    """Elements start:stop along `axis` of an entry, held by a global rank; axis None: all of it."""

    rank: int
    axis: int | None
    start: int
    stop: int

    def inside(self, span: Span) -> tuple[slice, slice, slice] | None:
        """Rows and columns of the span that come from this cut, and rows of the cut; None where there are none."""
        if self.axis == 1:
            return slice(None), slice(self.start, self.stop), slice(span.start, span.stop)
        low, high = max(span.start, self.start), min(span.stop, self.stop)
        if low >= high:
            return None
        return slice(low - span.start, high - span.start), slice(None), slice(low - self.start, high - self.start)


@dataclass(frozen=True)
class _Told:
    """What a rank says about one of its cuts."""

    dtype: str
    cut: Cut


class Sources:
    """Collective over all ranks.

    Attributes:
        entries: every tensor of the model, in the order of its layers: whoever reloads layer by layer holds little.
        cuts: for each entry, who has what of it.
        mine: parameter and part for each entry that this rank holds a cut of.
    """

    def __init__(self, networks: list[Any], shape: ArchShape) -> None:
        layout = groups.current()
        self.mine: dict[str, tuple[Piece, Tensor]] = {}
        told: dict[str, _Told] = {}
        sizes = hf_names.shapes(shape)
        if layout.dp_rank == layout.cp_rank == 0:
            for name, parameter in hf_names.parameters(networks):
                if name == "output_layer.weight" and shape.tied:
                    continue  # the first stage's copy is sent
                for piece in hf_names.pieces(name, shape):
                    if piece.axis is None and layout.tp_rank:
                        continue
                    start, stop = piece.bounds(parameter, layout.tp_rank, sizes[piece.key])
                    self.mine[piece.key] = (piece, parameter)
                    dtype = str(parameter.dtype).removeprefix("torch.")
                    told[piece.key] = _Told(dtype, Cut(groups.rank(), piece.axis, start, stop))
        everybody = everyone(told)
        self.entries = []
        self.cuts: list[list[Cut]] = []
        for key in _in_order(sizes):
            having = [rank[key] for rank in everybody if key in rank]
            self.entries.append(Entry(key, having[0].dtype, sizes[key]))
            self.cuts.append([one.cut for one in having])

    def fill(self, plan: Plan, number: int, bucket: Tensor) -> None:
        """Copy what this rank holds of a bucket to its place there."""
        for span in plan.buckets[number]:
            for cut in self.cuts[span.entry]:
                if cut.rank == groups.rank() and (region := cut.inside(span)) is not None:
                    rows, columns, own = region
                    place = plan.view(bucket, span)
                    place = place[rows] if cut.axis != 1 else place[:, columns]
                    self._copy(plan.entries[span.entry], cut, own, place)

    def _copy(self, entry: Entry, cut: Cut, own: slice, place: Tensor) -> None:
        piece, parameter = self.mine[entry.name]
        part = piece.part(parameter)
        if place.numel() == part.numel() and place.is_contiguous():
            place.view(part.shape).copy_(part)  # rows that do not follow one another, without a copy in between
        else:
            place.copy_(piece.cut(parameter)[own])

    def regions(self, plan: Plan, number: int, bucket: Tensor, rank: int) -> list[Tensor]:
        """The parts of a bucket that this rank has to fill, as views of it, in an order that all ranks know."""
        found = []
        for span in plan.buckets[number]:
            for cut in self.cuts[span.entry]:
                if cut.rank == rank and (region := cut.inside(span)) is not None:
                    place = plan.view(bucket, span)
                    found.append(place[region[0]] if cut.axis != 1 else place[:, region[1]])
        return found


def holders() -> list[int]:
    """Global ranks that send: one replica of all stages."""
    layout = groups.current()
    everybody = everyone(layout.dp_rank == layout.cp_rank == 0)
    return [rank for rank, holds in enumerate(everybody) if holds]


def small_group(ranks: list[int]) -> Any:
    """A group of CPU tensors over these ranks, for signals. Collective over all ranks."""
    return dist.new_group(ranks, backend="gloo")


def device_of(networks: list[Any]) -> torch.device:
    """Where the parameters of this rank live."""
    return next(networks[0].parameters()).device


def _in_order(sizes: hf_names.Shapes) -> list[str]:
    """Embedding, layers by number, final norm, output."""

    def place(key: str) -> tuple[int, int]:
        if key.startswith("model.layers."):
            return 1, int(key.split(".")[2])
        return (0, 0) if key == hf_names.EMBEDDING else (2, 0)

    return sorted(sizes, key=place)
