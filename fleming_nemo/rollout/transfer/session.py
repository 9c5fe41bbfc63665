"""The group of rank 0 and a set of servers, and one update sent through it.  Rank 0 only."""

from __future__ import annotations

import secrets
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fleming_nemo.rollout.transfer.control import Control, Future, outcome
from fleming_nemo.rollout.vllm.worker.fleming_transfer import channel, shared, wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import Channel, Meeting
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import SEAL_BYTES

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.server import Server

Members = tuple[tuple["Server", int], ...]


def members_of(servers: list[Server]) -> Members:
    """Servers and their incarnations: one that was restarted has to be met anew."""
    return tuple((server, server.incarnation) for server in servers)


class Session:
    """A group with all workers of some servers; one death breaks it, and the others meet again without the dead.

    One group for all servers, as a broadcast to many costs the trainer's link hardly more than to one.

    Attributes:
        failed: what servers answered while they were waited for, if it was an error.
    """

    def __init__(
        self,
        servers: list[Server],
        control: Control,
        backend: str,
        device: torch.device,
        buffers: list[Tensor],
        descriptors: list[int],
        timeout_s: float,
    ) -> None:
        """Meet all servers.

        Raises:
            ServersFailed: some did not come.
        """
        self.members = members_of(servers)
        self._on_gpu = device.type == "cuda"
        parts = urllib.parse.urlsplit(servers[0].address.url)
        listener = channel.listen(channel.towards(str(parts.hostname), parts.port or 80))
        address, port = listener.getsockname()[:2]
        meeting = Meeting(
            backend=backend,
            address=address,
            port=port,
            name=secrets.token_hex(16),
            world=1 + sum(server.address.world for server in servers),
            timeout_s=timeout_s,
            nccl=list(torch.cuda.nccl.version()) if backend == "nccl" else [],
            shared=_exported(buffers, descriptors) if backend == "ipc" else [],
        )
        waiting: dict[Server, Future] = {}
        offset = 1
        for server in servers:
            waiting[server] = control.join(server, meeting.to_json(), offset)
            offset += server.address.world
        made: list[Any] = []
        thread = threading.Thread(target=_meet, args=(meeting, device, listener, made), daemon=True)
        thread.start()
        failed = {server: found for server, one in waiting.items() if isinstance(found := outcome(one), Exception)}
        if failed:
            raise ServersFailed(failed)
        thread.join()
        (found,) = made
        if isinstance(found, Exception):
            raise ServersFailed(dict.fromkeys(servers, found))
        self.channel: Channel = found

    def close(self) -> None:
        self.channel.close()


class ServersFailed(Exception):
    """Attributes:
    errors: what became of each server that failed.
    """

    def __init__(self, errors: dict[Server, Exception]) -> None:
        super().__init__("; ".join(f"{server.address.url}: {error}" for server, error in errors.items()))
        self.errors = errors


class Sending:
    """One update on its way: the sink of `stream.Stream`.

    Args:
        updates: the request of each server, which is answered when all its workers have taken the weights, or failed.

    Attributes:
        digest: of all buckets so far.
    """

    def __init__(self, session: Session, updates: dict[Server, Future]) -> None:
        self._session, self._updates = session, updates
        self._works: dict[int, list[Any]] = {}
        self.digest = 0

    def begin(self) -> None:
        """All workers are ready. Raises BrokenOff where they are not."""
        group = self._session.channel
        try:
            if not group.finish_agreeing(group.begin_agreeing(True), self._look):
                raise BrokenOff("a server refused the update")
        except (RuntimeError, TimeoutError) as error:
            raise BrokenOff(str(error)) from error

    def seal(self, number: int, bucket: Tensor) -> None:
        self.digest = wire.chain(self.digest, wire.seal(bucket, number))

    def send(self, number: int, bucket: Tensor) -> None:
        group = self._session.channel
        if bucket.is_cuda:
            torch.cuda.current_stream(bucket.device).synchronize()
        if group.meeting.backend == "ipc":
            self._works[number] = [group.begin_agreeing(True)[0]]  # filled; and all have copied the one before
        else:  # apart from the seal, so that it can be received at its place among other bytes of a large tensor
            self._works[number] = [group.broadcast(part) for part in (bucket[:-SEAL_BYTES], bucket[-SEAL_BYTES:])]

    def drained(self, number: int) -> None:
        try:
            for work in self._works.pop(number):
                self._session.channel.wait(work, self._look)
        except (RuntimeError, TimeoutError) as error:
            raise BrokenOff(str(error)) from error

    def _look(self) -> None:
        """A server that has answered already takes no more part."""
        for server, future in self._updates.items():
            if future.done() and not _went_well(outcome(future)):
                raise BrokenOff(f"{server.address.url} stopped listening")


class BrokenOff(Exception):
    """The buckets could not be sent to all."""


def _went_well(answer: Any) -> bool:
    return isinstance(answer, dict) and all(report["error"] is None for report in answer.get("results", []))


def _meet(meeting: Meeting, device: torch.device, listener: Any, made: list[Any]) -> None:
    try:
        made.append(Channel(meeting, 0, device, listener))
    except Exception as error:
        made.append(error)


def _exported(buffers: list[Tensor], descriptors: list[int]) -> list[dict[str, Any]]:
    found: list[int | None] = list(descriptors) if descriptors else [None] * len(buffers)
    return [shared.export(buffer, descriptor) for buffer, descriptor in zip(buffers, found, strict=True)]
