"""The trainer's side of updates that send only what has changed since the last one.

Every rank keeps a copy of its own cuts in the memory of the CPU, as they were sent last.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.transfer.sources import Cut, Sources
from fleming_nemo.rollout.vllm.worker.fleming_transfer import wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.delta import Part, encode
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import Entry, Plan

WORTH = 0.5
"""Above this share of the whole the whole is sent."""


class Kept:
    """Attributes:
    version: of the weights that the copies are; None where no transfer has ended well yet.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._dtypes = {entry.name: entry.dtype for entry in sources.entries}
        self._old: dict[str, Tensor] = {}
        self._fresh = False
        self.version: int | None = None

    def begin(self) -> None:
        """A push begins, of weights that may have changed."""
        self._fresh = False

    def remember(self, version: int) -> None:
        """The weights of this push were sent."""
        for name, cut in self._cuts() if not self._fresh else []:
            new = self._now(name, cut)
            if name in self._old:
                self._old[name].copy_(new)
            else:
                self._old[name] = new.to("cpu", copy=True)
        self.version = version

    def changes(self, bucket_bytes: int) -> Changes:
        """What has changed; the copies follow at once, so `version` is None until it has been sent. Collective."""
        self.version, self._fresh = None, True
        tensors: dict[str, tuple[Tensor, Tensor]] = {}
        told: list[Part] = []
        for name, cut in self._cuts():
            new, old = self._now(name, cut).cpu().contiguous(), self._old[name]
            steps, values = encode(new, old)
            tensors[name] = steps, values
            old.copy_(new)
            told.append(Part(name, cut.axis, cut.start, cut.stop, len(steps), wire.checksum(new)))
        return Changes(everyone(told), tensors, self._dtypes, bucket_bytes)

    def _cuts(self) -> list[tuple[str, Cut]]:
        """This rank's, in the order of the model."""
        return [
            (entry.name, cut)
            for entry, cuts in zip(self._sources.entries, self._sources.cuts, strict=True)
            for cut in cuts
            if cut.rank == groups.rank() and cut.stop > cut.start
        ]

    def _now(self, name: str, cut: Cut) -> Tensor:
        piece, parameter = self._sources.mine[name]
        whole = piece.cut(parameter)
        return whole if cut.axis == 1 else whole[: cut.stop - cut.start]  # without padding of a vocabulary


class Changes:
    """Changes of all ranks as a stream of tensors: two of every part that has any.

    Attributes:
        plan: of this stream.
        parts: of all ranks, as the engine is told them.
    """

    def __init__(
        self,
        told: list[list[Part]],
        mine: dict[str, tuple[Tensor, Tensor]],
        dtypes: dict[str, str],
        bucket_bytes: int,
    ) -> None:
        self.parts: list[Part] = []
        self._tensors: dict[int, Tensor] = {}
        self._holders: list[int] = []
        entries: list[Entry] = []
        for rank, parts in enumerate(told):
            for part in parts:
                number = len(self.parts)
                self.parts.append(part)
                if not part.count:
                    continue
                for kind, dtype in enumerate(("uint8", dtypes[part.name])):
                    if rank == groups.rank():
                        self._tensors[len(entries)] = mine[part.name][kind]
                    self._holders.append(rank)
                    entries.append(Entry(f"{number}.{('steps', 'values')[kind]}", dtype, (part.count,)))
        self.plan: Plan = wire.plan(entries, bucket_bytes)

    def announce(self) -> dict[str, Any]:
        return self.plan.announce() | {"parts": [part.to_json() for part in self.parts]}

    def fill(self, plan: Plan, number: int, bucket: Tensor) -> None:
        """As `Sources.fill`."""
        for span in plan.buckets[number]:
            if span.entry in self._tensors:
                plan.view(bucket, span).copy_(self._tensors[span.entry][span.start : span.stop])

    def regions(self, plan: Plan, number: int, bucket: Tensor, rank: int) -> list[Tensor]:
        """As `Sources.regions`."""
        return [plan.view(bucket, span) for span in plan.buckets[number] if self._holders[span.entry] == rank]
