"""The group of a transfer: the trainer's rank 0 and all workers of the servers that take part.

Beside torch.distributed's default groups, which on either side mean something else.  The servers learn place and name
of the group from the trainer's guarded request; what meets there exchanges addresses, never pickles.  When the trainer
leaves, that ends it for all; a peer that only stands still is given up after `timeout_s`.
"""

from __future__ import annotations

import datetime
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_ENDED = "ended"
_LOOK_S = 0.25

BACKENDS = ("gloo", "nccl", "ipc")


@dataclass(frozen=True)
class Meeting:
    """Where and as what the ranks of a group meet.

    Attributes:
        backend: gloo (memory of the CPU), nccl (GPUs of several nodes) or ipc (buffers that processes of one node
            share; gloo carries the signals).
        name: random, so that nothing joins that was not told.
        world: ranks in all; the trainer is rank 0.
        nccl: version of the trainer's NCCL.
        shared: the buffers of ipc, as `shared.export` describes them.
    """

    backend: str
    address: str
    port: int
    name: str
    world: int
    timeout_s: float
    nccl: list[int] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Channel:
    """One rank's end of the group. The constructor waits for all ranks, at most `timeout_s`.

    Args:
        listener: the socket that the store of rank 0 listens on; None on the other ranks.
    """

    def __init__(
        self, meeting: Meeting, rank: int, device: torch.device, listener: socket.socket | None = None
    ) -> None:
        self.meeting, self.rank = meeting, rank
        self.on_gpu = meeting.backend == "nccl"
        self.device = device if self.on_gpu else torch.device("cpu")
        limit = datetime.timedelta(seconds=meeting.timeout_s)
        own = listener.getsockname()[0] if listener is not None else _address_towards(meeting)
        self._store = dist.TCPStore(
            meeting.address,
            meeting.port,
            is_master=listener is not None,
            timeout=limit,
            wait_for_workers=False,
            master_listen_fd=listener.detach() if listener is not None else None,
        )
        self._ended = f"{meeting.name}/{_ENDED}"
        store = dist.PrefixStore(meeting.name, self._store)
        self._group: Any
        if self.on_gpu:
            here = list(torch.cuda.nccl.version())
            if rank and here[:2] != meeting.nccl[:2]:
                raise RuntimeError(f"NCCL {here} here and {meeting.nccl} in the trainer do not understand each other")
            options = dist.ProcessGroupNCCL.Options()
            options._timeout = 4 * limit  # this class notices first; NCCL's own watchdog would end the process
            self._group = dist.ProcessGroupNCCL(store, rank, meeting.world, options)
        else:
            gloo: Any = dist.ProcessGroupGloo
            options = gloo._Options()
            options._devices = [gloo.create_device(hostname=own)]
            options._timeout = limit
            self._group = gloo(store, rank, meeting.world, options)

    def broadcast(self, buffer: Tensor) -> Any:
        """Start to send (rank 0) or to receive; `wait` for it."""
        return self._group.broadcast(buffer, 0)

    def agree(self, ok: bool) -> bool:
        """Whether all ranks say so."""
        return self.finish_agreeing(self.begin_agreeing(ok))

    def begin_agreeing(self, ok: bool) -> tuple[Any, Tensor]:
        vote = torch.tensor([int(ok)], dtype=torch.int32, device=self.device)
        return self._group.allreduce(vote, dist.ReduceOp.MIN), vote

    def finish_agreeing(self, begun: tuple[Any, Tensor], look: Callable[[], None] = lambda: None) -> bool:
        work, vote = begun
        self.wait(work, look)
        return bool(vote.item())

    def wait(self, work: Any, look: Callable[[], None] = lambda: None) -> None:
        """Wait for an operation; `look` is called now and then and may raise what makes waiting pointless.

        Raises:
            RuntimeError: a peer has gone (torch.distributed's own errors are of this class), or the trainer gave up.
            TimeoutError: it took longer than the group allows.
        """
        limit = time.monotonic() + self.meeting.timeout_s
        while not self._done(work):
            if time.monotonic() > limit:
                raise TimeoutError(f"no answer within {self.meeting.timeout_s:g} s")
            look()
            if self.rank and self._store.check([self._ended]):
                raise RuntimeError("the trainer has ended this transfer")

    def _done(self, work: Any) -> bool:
        """Wait a moment for it; its own error is raised."""
        if self.on_gpu:
            until = time.monotonic() + _LOOK_S
            while not work.is_completed() and time.monotonic() < until:
                time.sleep(1e-4)
            if not work.is_completed():
                return False
            work.wait()
            torch.cuda.current_stream(self.device).synchronize()
            return True
        try:
            work.wait(datetime.timedelta(seconds=_LOOK_S))
        except RuntimeError:
            if not work.is_completed():
                return False
            work.wait()  # an error of its own; none if it has ended since this look's time was up
        return True

    def close(self) -> None:
        """Leave, the trainer for all. Never waits, even if operations are under way."""
        if not self.rank:
            self._store.set(self._ended, "1")
        if self.on_gpu:
            self._group.abort()
        # gloo cannot end what has begun, and a group that is dropped before that waits for it
        until = self.meeting.timeout_s + 5
        threading.Thread(target=_outlive, args=(self._group, self._store, until), daemon=True).start()
        self._group = None


def _outlive(group: Any, store: Any, seconds: float) -> None:
    """Hold references until whatever is under way has timed out."""
    time.sleep(seconds)


def listen(address: str) -> socket.socket:
    """A socket on a free port of this address alone."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    return listener


def towards(host: str, port: int) -> str:
    """This machine's address on the way to another."""
    found: Sequence[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, target = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)  # sends nothing
        return str(probe.getsockname()[0])


def _address_towards(meeting: Meeting) -> str:
    return towards(meeting.address, meeting.port)
