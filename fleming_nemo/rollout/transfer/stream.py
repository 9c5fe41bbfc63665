"""The buckets of a transfer, filled by all ranks that hold weights, one after the other on rank 0.

While a bucket is on its way to the servers the next one is filled.  Where all ranks share a machine and compute on its
CPUs, they write straight into rank 0's buffers; elsewhere each sends rank 0 what it has of a bucket in one message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from fleming_nemo.parallel import groups
from fleming_nemo.rollout.transfer import sharing, sources
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import ALIGNMENT, SEAL_BYTES, Plan
from fleming_nemo.training import watchdog

IN_FLIGHT = 3
"""Buckets that are on their way to the servers at the same time."""
DEPTH = IN_FLIGHT + 2
"""Buffers: those on their way, one that is complete, and one that is being filled."""


class Origin(Protocol):
    """What fills buckets: all tensors (`sources.Sources`), or what has changed (`changes.Changes`)."""

    def fill(self, plan: Plan, number: int, bucket: Tensor) -> None:
        """Copy what this rank holds of a bucket to its place there."""

    def regions(self, plan: Plan, number: int, bucket: Tensor, rank: int) -> list[Tensor]:
        """The parts of a bucket that a rank has to fill, as views of it, in an order that all ranks know."""
        ...


class Sink(Protocol):
    """Where rank 0's buckets go."""

    def seal(self, number: int, bucket: Tensor) -> None:
        """The bucket is complete."""

    def send(self, number: int, bucket: Tensor) -> None:
        """Begin to send it."""

    def drained(self, number: int) -> None:
        """Wait until it has been sent."""


class Stopped(Exception):
    """Rank 0 has given up the transfer that was under way."""


class Stream:
    """Collective over all ranks; those of other replicas only take part in making it.

    Args:
        bucket_bytes: largest bucket, without its seal.
        depth: buffers to take turns.

    Attributes:
        shares: whether ranks write into one memory (else they send messages).
        buffers: rank 0's, and of all holders where they share them.
        descriptors: files behind shared buffers on rank 0.
    """

    def __init__(self, networks: list[Any], bucket_bytes: int, depth: int) -> None:
        self.holders = sources.holders()
        self.holds = groups.rank() in self.holders
        self._group = sources.small_group(self.holders)
        self._device = sources.device_of(networks)
        size = bucket_bytes + SEAL_BYTES + ALIGNMENT
        self.buffers, self.descriptors = sharing.share(self.holders, self._device, size, depth)
        self.shares = bool(self.buffers) or not self.holds
        if not self.shares and groups.rank() == 0:
            self.buffers = [torch.empty(size, dtype=torch.uint8, device=self._device) for _ in range(depth)]

    def run(self, origin: Origin, plan: Plan, sink: Sink | None) -> None:
        """Fill all buckets; rank 0 gives them to `sink`, the others have none.  An error of it stops all ranks.

        Nobody waits for the bucket that is being filled: ranks vote on it, and end the vote when they have filled the
        next one.  So rank 0 knows that a bucket is complete, and the others that it has sent those of four before.

        Raises:
            Stopped: on the other ranks, where rank 0 has given up.
        """
        if not self.holds:
            return
        self._origin, self._plan = origin, plan
        problem: Exception | None = None
        before = None
        count = len(plan.buckets)
        for number in range(count):
            watchdog.beat()
            if problem is None:
                self._fill(number, self._bucket(number))
                if sink is not None and number >= IN_FLIGHT:
                    problem = _attempt(partial(sink.drained, number - IN_FLIGHT))
            vote = self._begin_vote(problem is not None)
            if before is not None and self._end_vote(before):
                self._end_vote(vote)
                raise problem or Stopped
            if before is not None and problem is None:
                problem = self._pass_on(number - 1, sink)
            before = vote
        if before is not None and self._end_vote(before):
            raise problem or Stopped
        if count and problem is None:
            problem = self._pass_on(count - 1, sink)
        for number in range(max(0, count - IN_FLIGHT), count):
            if sink is not None and problem is None:
                problem = _attempt(partial(sink.drained, number))
        if self._end_vote(self._begin_vote(problem is not None)):
            raise problem or Stopped

    def _pass_on(self, number: int, sink: Sink | None) -> Exception | None:
        if sink is None:
            return None
        bucket = self._bucket(number)
        return _attempt(partial(sink.seal, number, bucket)) or _attempt(partial(sink.send, number, bucket))

    def close(self) -> None:
        """Give the shared memory back."""
        self.buffers.clear()
        sharing.release(self.descriptors)

    def _bucket(self, number: int) -> Tensor:
        size = self._plan.size(number)
        if self.buffers:
            return self.buffers[number % len(self.buffers)][:size]
        return torch.empty(0, dtype=torch.uint8)

    def _fill(self, number: int, bucket: Tensor) -> None:
        if self.shares or len(self.holders) == 1:
            self._origin.fill(self._plan, number, bucket)
        elif groups.rank() == 0:
            self._collect(number, bucket)
        else:
            self._contribute(number)

    def _contribute(self, number: int) -> None:
        scratch = torch.empty(self._plan.size(number), dtype=torch.uint8, device=self._device)
        self._origin.fill(self._plan, number, scratch)
        parts = [part.contiguous().view(-1).view(torch.uint8) for part in self._parts(number, scratch, groups.rank())]
        if parts:
            dist.send(torch.cat(parts), 0)

    def _collect(self, number: int, bucket: Tensor) -> None:
        self._origin.fill(self._plan, number, bucket)
        for rank in self.holders[1:]:
            parts = self._parts(number, bucket, rank)
            if not parts:
                continue
            message = torch.empty(sum(p.nbytes for p in parts), dtype=torch.uint8, device=self._device)
            dist.recv(message, rank)
            at = 0
            for part in parts:
                part.copy_(message[at : at + part.nbytes].view(part.dtype).view(part.shape))
                at += part.nbytes

    def _parts(self, number: int, bucket: Tensor, rank: int) -> list[Tensor]:
        return self._origin.regions(self._plan, number, bucket, rank)

    def _begin_vote(self, stop: bool) -> tuple[Any, Tensor]:
        """This rank has come as far as this, and wants to stop or to go on."""
        vote = torch.tensor([int(stop)], dtype=torch.int32)
        return dist.all_reduce(vote, dist.ReduceOp.MAX, group=self._group, async_op=True), vote

    def _end_vote(self, begun: tuple[Any, Tensor]) -> bool:
        """All holders have come as far; whether any of them wants to stop."""
        work, vote = begun
        work.wait()
        return bool(vote.item())


def _attempt(action: Callable[[], None]) -> Exception | None:
    """What went wrong."""
    try:
        action()
    except Exception as error:
        return error
    return None
