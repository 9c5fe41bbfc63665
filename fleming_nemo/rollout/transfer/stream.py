"""The buckets of a transfer, filled by all ranks that hold weights, one after the other on rank 0.

While a bucket is on its way to the servers the next one is filled.  Where all ranks share a machine and compute on its
CPUs, they write straight into rank 0's buffers; elsewhere each sends rank 0 what it has of a bucket in one message.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.transfer import sources
from fleming_nemo.rollout.transfer.sources import Sources
from fleming_nemo.rollout.vllm.worker.fleming_transfer import shared
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import SEAL_BYTES, Plan
from fleming_nemo.training import watchdog


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
        depth: buffers to take turns.

    Attributes:
        sources: where the tensors are.
        shares: whether ranks write into one memory (else they send messages).
        buffers: rank 0's, and of all holders where they share them.
        descriptors: files behind shared buffers on rank 0.
    """

    def __init__(self, networks: list[Any], origin: Sources, plan: Plan, depth: int) -> None:
        self.sources, self.plan = origin, plan
        self.holders = sources.holders()
        self.holds = groups.rank() in self.holders
        self._group = sources.small_group(self.holders)
        self._device = sources.device_of(networks)
        size = plan.bucket_bytes + 2 * SEAL_BYTES + 64
        self.buffers: list[Tensor] = []
        self.descriptors: list[int] = []
        self.shares = self._share(size, depth)
        if not self.shares and groups.rank() == 0:
            self.buffers = [torch.empty(size, dtype=torch.uint8, device=self._device) for _ in range(depth)]

    def run(self, sink: Sink | None) -> None:
        """Fill all buckets; rank 0 gives them to `sink`, the others have none.  An error of it stops all ranks.

        Three buffers: one is on its way, one is being sealed, one is being filled.

        Raises:
            Stopped: on the other ranks, where rank 0 has given up.
        """
        if not self.holds:
            return
        problem: Exception | None = None
        count = len(self.plan.buckets)
        for number in range(count + 1):
            watchdog.beat()
            if number < count and problem is None:
                self._fill(number, self._bucket(number))
            if self._stop(problem is not None):
                raise problem or Stopped
            if sink is None:
                continue
            try:
                if number < count:
                    sink.seal(number, self._bucket(number))
                if number:
                    sink.drained(number - 1)
                if number < count:
                    sink.send(number, self._bucket(number))
            except Exception as error:
                problem = error
        if self._stop(problem is not None):
            raise problem or Stopped

    def close(self) -> None:
        """Give the shared memory back."""
        self.buffers.clear()
        for descriptor in self.descriptors:
            shared.release(descriptor)
        self.descriptors.clear()

    def _bucket(self, number: int) -> Tensor:
        size = self.plan.size(number)
        if self.buffers:
            return self.buffers[number % len(self.buffers)][:size]
        return torch.empty(0, dtype=torch.uint8)

    def _fill(self, number: int, bucket: Tensor) -> None:
        if self.shares or len(self.holders) == 1:
            self.sources.fill(self.plan, number, bucket)
        elif groups.rank() == 0:
            self._collect(number, bucket)
        else:
            self._contribute(number)

    def _contribute(self, number: int) -> None:
        scratch = torch.empty(self.plan.size(number), dtype=torch.uint8, device=self._device)
        self.sources.fill(self.plan, number, scratch)
        parts = [part.contiguous().view(-1).view(torch.uint8) for part in self._parts(number, scratch, groups.rank())]
        if parts:
            dist.send(torch.cat(parts), 0)

    def _collect(self, number: int, bucket: Tensor) -> None:
        self.sources.fill(self.plan, number, bucket)
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
        return self.sources.regions(self.plan, number, bucket, rank)

    def _stop(self, mine: bool) -> bool:
        """Whether any holder wants to stop; all of them have come as far as this."""
        vote = torch.tensor([int(mine)], dtype=torch.int32)
        dist.all_reduce(vote, dist.ReduceOp.MAX, group=self._group)
        return bool(vote.item())

    def _share(self, size: int, depth: int) -> bool:
        """Map rank 0's buffers into every holder, where that can be done."""
        told: list[str] | None = None
        if groups.rank() == 0 and self._device.type == "cpu":
            try:
                for _ in range(depth):
                    buffer, descriptor = shared.allocate(size)
                    self.buffers.append(buffer)
                    self.descriptors.append(descriptor)
                told = [shared.path_of(descriptor) for descriptor in self.descriptors]
            except OSError:  # /dev/shm is too small for a bucket
                self.close()
        offered = everyone((socket.gethostname(), told))
        paths, host = offered[0][1], offered[0][0]
        same = paths is not None and all(offered[rank][0] == host for rank in self.holders)
        if same and self.holds and groups.rank():
            try:
                self.buffers = [shared.map_file(path, size) for path in paths or []]
            except (OSError, RuntimeError):  # another container, or another user's view of /proc
                self.buffers = []
        mapped = all(everyone(not self.holds or (same and len(self.buffers) == depth)))
        if not mapped:
            self.close()
        return mapped
