"""The receiving loop: bucket after bucket arrives, and whole tensors come out."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .channel import Channel
from .shared import open_buffer
from .wire import Plan, chain, check_seal

_AHEAD = 2


class Incoming:
    """The buckets of one transfer in order; the next ones are on their way while one is being used.

    Damage is not raised at once: the other ranks are in the middle of the same operations, so the rest is received and
    thrown away, and `problem` says what was wrong.

    Attributes:
        problem: the first thing that went wrong, None if nothing did.
        digest: of all checksums in order.
    """

    def __init__(self, channel: Channel, sizes: list[int], shared: list[Tensor], leases: Leases) -> None:
        self.channel, self.sizes, self.shared, self.leases = channel, sizes, shared, leases
        self.problem: str | None = None
        self.digest = 0

    def __iter__(self) -> Iterator[Tensor]:
        """Each bucket without damage; after the first damaged one none."""
        count = len(self.sizes)
        coming = deque(self._post(number) for number in range(min(_AHEAD, count)))
        for number in range(count):
            bucket = self._arrived(number, coming.popleft())
            if number + _AHEAD < count:
                coming.append(self._post(number + _AHEAD))
            if self.problem is None:
                try:
                    self.digest = chain(self.digest, check_seal(bucket, number))
                except ValueError as error:
                    self.problem = str(error)
                else:
                    yield bucket
            del bucket

    def drain(self, problem: str) -> None:
        """Go on receiving to no use, as this rank cannot use what comes."""
        self.problem = self.problem or problem

    def _post(self, number: int) -> tuple[Any, Tensor]:
        if self.shared:  # what is shared needs no room here, and its signal is waited for when it is wanted
            return None, self.shared[number % len(self.shared)][: self.sizes[number]]
        buffer = self.leases.take(self.sizes[number])
        return self.channel.broadcast(buffer), buffer

    def _arrived(self, number: int, posted: tuple[Any, Tensor]) -> Tensor:
        work, buffer = posted
        if not self.shared:
            self.channel.wait(work)
            return buffer
        # here all ranks say: bucket `number` is filled, and the ones before it have been copied
        self.channel.agree(True)
        copy = buffer.clone()
        if copy.is_cuda:
            torch.cuda.current_stream(copy.device).synchronize()
        return copy


class Leases:
    """Memory for buckets that is used again once nothing looks at it: fresh pages cost more than the copy itself.

    vLLM keeps views of what it was given until a whole layer has arrived, so a buffer may be wanted for longer than the
    next bucket.  On a GPU torch's allocator does the same.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[np.ndarray] = []
        self._size = 0

    def take(self, nbytes: int) -> Tensor:
        if self._device.type != "cpu":
            return torch.empty(nbytes, dtype=torch.uint8, device=self._device)
        if nbytes > self._size:
            self._size = nbytes
            self._free.clear()
        whole = self._free.pop() if self._free else np.empty(self._size, np.uint8)
        lease = whole[:nbytes]  # of its own, so that its end is that of the last tensor over it
        weakref.finalize(lease, self._give_back, whole)
        return torch.from_numpy(lease)

    def _give_back(self, whole: np.ndarray) -> None:
        if len(whole) == self._size and len(self._free) <= _AHEAD:
            self._free.append(whole)


class Assembler:
    """Whole tensors out of buckets; those that go over several are put together in memory of their own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._partial: Tensor | None = None

    def tensors(self, number: int, bucket: Tensor) -> list[tuple[str, Tensor]]:
        """What bucket `number` completes, as views of it where they can be."""
        done: list[tuple[str, Tensor]] = []
        for span in self.plan.buckets[number]:
            entry = self.plan.entries[span.entry]
            rows = self.plan.view(bucket, span)
            if span.start == 0 and span.stop == entry.shape[0]:
                done.append((entry.name, rows))
                continue
            if self._partial is None:
                self._partial = torch.empty(entry.shape, dtype=entry.torch_dtype, device=bucket.device)
            self._partial[span.start : span.stop].copy_(rows)
            if span.stop == entry.shape[0]:
                done.append((entry.name, self._partial))
                self._partial = None
        return done


def shared_buffers(told: list[dict[str, Any]]) -> list[Tensor]:
    """The trainer's buffers, where it has said that it shares them."""
    return [open_buffer(description) for description in told]
