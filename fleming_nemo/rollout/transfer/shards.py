"""What every rank of the trainer does in a push, at the command of rank 0."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.rollout.transfer.changes import WORTH, Changes, Kept
from fleming_nemo.rollout.transfer.sources import Sources
from fleming_nemo.rollout.transfer.stream import Sink, Stopped, Stream
from fleming_nemo.rollout.vllm.worker.fleming_transfer import wire

Order = tuple[str, int]
FIND_CHANGES, SEND_CHANGES, SEND_ALL, REMEMBER = "find changes", "send changes", "send all", "remember"


class Shards:
    """This rank's part of the weights and of the stream. Collective in making and in every order.

    Attributes:
        plan: of all tensors.
        changes: since the last push, where they were looked for in this one.
    """

    def __init__(self, networks: list[Any], shape: ArchShape, bucket_bytes: int, depth: int, changes: bool) -> None:
        self._sources = Sources(networks, shape)
        self.plan = wire.plan(self._sources.entries, bucket_bytes)
        self.stream = Stream(networks, bucket_bytes, depth)
        self.kept = Kept(self._sources) if changes else None
        self.changes: Changes | None = None

    def begin(self) -> None:
        """A push of weights that may have changed."""
        self.changes = None
        if self.kept is not None:
            self.kept.begin()

    def worth_sending(self) -> bool:
        """Whether there are changes to send that are much smaller than the whole."""
        return self.changes is not None and self.changes.plan.nbytes <= WORTH * self.plan.nbytes

    def follow(self) -> Any:
        """Obey rank 0 until it ends the push; what it says in the end."""
        while True:
            said = command(None)
            if not isinstance(said, tuple):
                return said
            try:
                self.obey(said)
            except Stopped:
                continue

    def order(self, kind: str, version: int, sink: Sink | None = None) -> None:
        """Rank 0: have all ranks do something."""
        command((kind, version))
        self.obey((kind, version), sink)

    def obey(self, order: Order, sink: Sink | None = None) -> None:
        kind, version = order
        if kind == SEND_ALL:
            self.stream.run(self._sources, self.plan, sink)
        elif kind == SEND_CHANGES:
            assert self.changes is not None
            self.stream.run(self.changes, self.changes.plan, sink)
        elif self.kept is not None and kind == FIND_CHANGES:
            self.changes = self.kept.changes(self.plan.bucket_bytes)
        elif self.kept is not None and kind == REMEMBER:
            self.kept.remember(version)


def command(said: Any) -> Any:
    """What rank 0 tells all ranks."""
    box = [said]
    dist.broadcast_object_list(box, 0)
    return box[0]
