"""The receiving loop: bucket after bucket arrives, and whole tensors come out."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .channel import Channel
from .shared import open_buffer
from .wire import SEAL_BYTES, Plan, chain, check_seal

_AHEAD = 2
MOST_FREE = 512 << 20
"""Bytes that are kept for the rest of a transfer: about what a layer of a 7B model needs."""


class Incoming:
    """The tensors of one transfer, bucket after bucket; the next ones are on their way while one is being used.

    Every bucket is received where its tensors will be read: those that go over several are never put together.

    Damage is not raised at once: the other ranks are in the middle of the same operations, so the rest is received and
    thrown away, and `problem` says what was wrong.

    Attributes:
        problem: the first thing that went wrong, None if nothing did.
        digest: of all checksums in order.
    """

    def __init__(self, channel: Channel, plan: Plan, shared: list[Tensor], leases: Leases) -> None:
        self.channel, self.plan, self.shared, self.leases = channel, plan, shared, leases
        self.sizes = [plan.size(number) - SEAL_BYTES for number in range(len(plan.buckets))]
        self.problem: str | None = None
        self.digest = 0
        self._large: Tensor | None = None

    def __iter__(self) -> Iterator[list[tuple[str, Tensor]]]:
        """What each bucket without damage completes; after the first damaged one nothing."""
        count = len(self.sizes)
        coming: deque[_Posted] = deque()
        for number in range(count):
            while len(coming) <= _AHEAD and number + len(coming) < count:
                coming.append(self._post(number + len(coming)))
            posted = coming.popleft()
            self._arrived(number, posted)
            if self.problem is None:
                try:
                    self.digest = chain(self.digest, check_seal(posted.body, posted.seal, number))
                except ValueError as error:
                    self.problem = str(error)
            if self.problem is None and (tensors := self._tensors(number, posted)):
                del posted  # whoever has the tensors decides how long the memory is wanted
                yield tensors
                del tensors
        self.leases.trim(self.plan.bucket_bytes)

    def drain(self, problem: str) -> None:
        """Go on receiving to no use, as this rank cannot use what comes."""
        self.problem = self.problem or problem

    def _post(self, number: int) -> _Posted:
        size = self.sizes[number]
        parted = self.plan.parted(number)
        if parted is None:
            body = whole = self.leases.take(size, self.plan.bucket_bytes)
        else:
            entry, start, stop = parted
            if start == 0:
                self._large = self.leases.take(entry.nbytes, entry.nbytes)
            assert self._large is not None
            whole = self._large
            body = whole[start * entry.row_bytes : stop * entry.row_bytes]
            if stop == entry.shape[0]:
                self._large = None
        if self.shared:  # nothing is sent, and its signal is waited for when it is wanted
            seal = self.shared[number % len(self.shared)][size : size + SEAL_BYTES]
            return _Posted(body, seal, whole, [])
        seal = torch.empty(SEAL_BYTES, dtype=torch.uint8, device=body.device)
        return _Posted(body, seal, whole, [self.channel.broadcast(body), self.channel.broadcast(seal)])

    def _arrived(self, number: int, posted: _Posted) -> None:
        for work in posted.works:
            self.channel.wait(work)
        if not self.shared:
            return
        # here all ranks say: bucket `number` is filled, and the ones before it have been copied
        self.channel.agree(True)
        posted.body.copy_(self.shared[number % len(self.shared)][: self.sizes[number]])
        if posted.body.is_cuda:
            torch.cuda.current_stream(posted.body.device).synchronize()

    def _tensors(self, number: int, posted: _Posted) -> list[tuple[str, Tensor]]:
        parted = self.plan.parted(number)
        if parted is None:
            spans = self.plan.buckets[number]
            return [(self.plan.entries[span.entry].name, self.plan.view(posted.whole, span)) for span in spans]
        entry, _, stop = parted
        if stop < entry.shape[0]:
            return []
        return [(entry.name, posted.whole.view(entry.torch_dtype).view(entry.shape))]


@dataclass
class _Posted:
    """A bucket on its way.

    Attributes:
        body: where its bytes will be.
        whole: the memory that this is a part of: its own, or that of a tensor that goes over several buckets.
        works: what has to end before.
    """

    body: Tensor
    seal: Tensor
    whole: Tensor
    works: list[Any]


class Leases:
    """Memory for buckets that is used again once nothing looks at it: fresh pages cost more than the copy itself.

    vLLM keeps views of what it was given until a whole layer has arrived, so a buffer may be wanted for longer than the
    next bucket.  On a GPU torch's allocator does the same.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[np.ndarray] = []

    def take(self, nbytes: int, room: int) -> Tensor:
        """Memory for `nbytes`, of which others of the same `room` in bytes may have the rest another time."""
        if self._device.type != "cpu":
            return torch.empty(nbytes, dtype=torch.uint8, device=self._device)
        place = next((n for n, free in enumerate(self._free) if len(free) == room), None)
        whole = np.empty(room, np.uint8) if place is None else self._free.pop(place)
        lease = whole[:nbytes]  # of its own, so that its end is that of the last tensor over it
        weakref.finalize(lease, self._give_back, whole)
        return torch.from_numpy(lease)

    def trim(self, room: int) -> None:
        """Between transfers nothing is kept but what the first buckets of the next one will need."""
        self._free = [free for free in self._free if len(free) == room][: _AHEAD + 1]

    def _give_back(self, whole: np.ndarray) -> None:
        self._free.append(whole)
        while len(self._free) > 1 and sum(map(len, self._free)) > MOST_FREE:
            self._free.pop(0)


def shared_buffers(told: list[dict[str, Any]]) -> list[Tensor]:
    """The trainer's buffers, where it has said that it shares them."""
    return [open_buffer(description) for description in told]
