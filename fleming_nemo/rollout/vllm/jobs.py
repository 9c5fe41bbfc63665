"""What the engine keeps of a request and of a batch while they are under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.rollout.vllm.schedule import Group
from fleming_nemo.rollout.vllm.server import Server

_STRAGGLES = 2.0
"""A request is a straggler after so many times the longest time that a finished one took."""
_SEEN = 0.5
"""Share of a batch that has to be finished before anything is called a straggler."""


@dataclass(eq=False)
class Attempt:
    """One request sent to one server.

    Attributes:
        incarnation, version: of the server when it was sent.
    """

    server: Server
    incarnation: int
    version: int | None
    began: float = field(default_factory=time.monotonic)

    @property
    def gone(self) -> bool:
        """The server that it was sent to is not there any more."""
        return not self.server.alive or self.server.incarnation != self.incarnation


@dataclass(eq=False)
class Job:
    """One response to get, exactly once.

    Attributes:
        index: place of the request in its batch.
        attempts: what is under way for it: one, or two for a straggler.
        failures: replies that were none, or wrong.
        losses: servers that died over it.
    """

    index: int
    request: Request
    batch: Batch
    group: Group[Job]
    attempts: dict[asyncio.Task[None], Attempt] = field(default_factory=dict)
    failures: int = 0
    losses: int = 0

    @property
    def done(self) -> bool:
        return self.batch.rollouts[self.index] is not None


@dataclass(eq=False)
class Batch:
    """One call of `generate`.

    Attributes:
        rollouts: in the order of the requests; None where there is none yet.
        durations: seconds that finished requests took.
        ended: set with a result when all are there, or with what ended the batch.
    """

    temperature: float
    max_response: int
    finished: Callable[[int, Rollout], None]
    rollouts: list[Rollout | None]
    ended: asyncio.Future[None]
    allowed: Callable[[Server], bool]
    jobs: list[Job] = field(default_factory=list)
    groups: list[Group[Job]] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


def stragglers(batch: Batch, servers: Sequence[Server]) -> list[tuple[Job, Server]]:
    """The long tail: what takes far longer than all else did, and a server with nothing to do for each.

    The oldest first; none is asked for more than twice at a time, nor twice of the same server.
    """
    if len(batch.durations) < _SEEN * len(batch.jobs) or batch.ended.done():
        return []
    idle = [server for server in servers if batch.allowed(server) and server.outstanding == 0]
    late = time.monotonic() - _STRAGGLES * max(batch.durations) if idle else 0.0
    slow = [
        (only.began, job, only) for job in batch.jobs if not job.done and (only := _only(job)) and only.began < late
    ]
    slow.sort(key=lambda found: found[0])
    return [(job, server) for (_, job, only), server in zip(slow, idle, strict=False) if only.server is not server]


def _only(job: Job) -> Attempt | None:
    """The one attempt of a job that has one."""
    return next(iter(job.attempts.values())) if len(job.attempts) == 1 else None
