"""An engine on servers, used by all trainer ranks together: rank 0 talks to the servers, the others hear commands.

    requests    gathered from the data-parallel replicas to rank 0
    commands    until the responses are there (`commands`); a server that had to be restarted in mid-batch is given the
                weights, which all ranks hold parts of
    rollouts    every rank gets those of its replica

This works under every trainer layout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist

from fleming_nemo.parallel import groups
from fleming_nemo.rollout.backend import Backend, Group, WeightTransfer
from fleming_nemo.rollout.commands import Commands
from fleming_nemo.rollout.loop import Loop
from fleming_nemo.rollout.types import Request, Rollout

Keep = Callable[[Group, list[Rollout]], None]
ByReplica = list[list[list[Rollout]]]
"""Rollouts of each group of each data-parallel replica."""


@dataclass
class Drawing:
    """Responses under way.

    Attributes:
        future: of their rollouts, and the seconds that the servers took; on rank 0.
        replicas: data-parallel rank of every rank; on rank 0.
    """

    future: Future[tuple[ByReplica, float]] | None = None
    replicas: list[int] = field(default_factory=list)


class RemoteEngine:
    """A `RolloutEngine` whose methods are collective over all trainer ranks; call them from the main thread.

    Args:
        backend: None on ranks other than 0.
        transfer: gives the trainer's weights to servers.

    Attributes:
        version: training step of the weights that the trainer has.
        seconds: how long the servers worked on the drawing that was finished last.
        progress: called on rank 0 with the number of finished responses of the first replica.
    """

    def __init__(self, backend: Backend | None, transfer: WeightTransfer) -> None:
        self._backend, self._transfer = backend, transfer
        self._loop = Loop("rollouts") if backend is not None else None
        self._commands = Commands(self._push, lambda server: server.version == self.version)
        self._opened = self._up = False
        self._under_way = 0
        self.version: int | None = None
        self.seconds = 0.0
        self.progress: Callable[[int], None] = lambda finished: None

    def refresh(self, version: int) -> None:
        """Have the servers hold the trainer's weights, which are those of training step `version`."""
        if self._up and self.version == version:
            return
        self.version = version
        if not self._opened:
            self._opened = True
            self._commands.follow(self._start(lambda backend: backend.open(self._commands.want)))
        self._commands.follow(self._start(lambda backend: backend.bring_up(version)))
        self._up = True

    def rest(self) -> None:
        """Nothing is drawn for a while: the servers give back what they share with training."""
        if self._up and not self._under_way:
            self._commands.follow(self._start(lambda backend: backend.rest()))
            self._up = False

    def generate(
        self, requests: list[Request], temperature: float, max_response: int, weight_version: int
    ) -> list[Rollout]:
        """See `RolloutEngine.generate`."""
        self.refresh(weight_version)
        each = [Group(n, "", [request]) for n, request in enumerate(requests)]
        return [rollout for (rollout,) in self.finish(self.begin(each, temperature, max_response))]

    def begin(self, wanted: list[Group], temperature: float, max_response: int, keep: Keep | None = None) -> Drawing:
        """Begin to draw with the present weights, `wanted` being those of this rank's replica.

        Args:
            keep: called on rank 0 with each group of any replica once it is whole.
        """
        layout = groups.current()
        speaks = layout.tp_rank == layout.pp_rank == layout.cp_rank == 0
        mine = (layout.dp_rank, wanted if speaks else None)
        parts: list[Any] | None = [None] * dist.get_world_size() if groups.rank() == 0 else None
        dist.gather_object(mine, parts, 0, group=self._commands.group)
        version = self.version
        assert version is not None, "the servers have no weights yet"
        self._under_way += 1
        if parts is None:
            return Drawing()
        replicas = [asked for _, asked in sorted((p for p in parts if p[1] is not None), key=lambda part: part[0])]
        tell, draw = self.progress, _draw
        work = self._start(lambda b: draw(b, replicas, (temperature, max_response, version), keep, tell))
        return Drawing(work, [replica for replica, _ in parts])

    def finish(self, drawing: Drawing) -> list[list[Rollout]]:
        """The rollouts of this rank's replica, in the order of its groups.

        Raises:
            UserError: on every rank, where rank 0 met it.
        """
        drawn = self._commands.follow(drawing.future)
        self._under_way -= 1
        parts = None
        if drawn is not None:
            by_replica, seconds = drawn
            parts = [(by_replica[replica], seconds) for replica in drawing.replicas]
        mine: list[Any] = [None]
        dist.scatter_object_list(mine, parts, 0, group=self._commands.group)
        rollouts, self.seconds = mine[0]
        return rollouts

    def abandon(self, drawing: Drawing) -> None:
        """What is under way is not wanted any more."""
        self._under_way -= 1
        if drawing.future is not None:
            drawing.future.cancel()

    def events(self) -> list[dict[str, Any]]:
        """What has happened to the servers since the last call; on rank 0."""
        if self._backend is None:
            return []
        events, self._backend.events[:] = list(self._backend.events), []
        return events

    def close(self) -> None:
        """Not collective: also after an error of any rank."""
        if self._loop is not None and self._backend is not None:
            self._loop.cancel()
            if self._opened:
                self._loop.start(self._backend.close()).result()
            self._loop.close()

    def _start(self, work: Callable[[Backend], Coroutine[Any, Any, Any]]) -> Future[Any] | None:
        if self._loop is None or self._backend is None:
            return None
        return self._commands.watched(self._loop.start(work(self._backend)))

    def _push(self, servers: Sequence[Any] | None) -> None:
        assert self.version is not None
        pool = self._backend.pool if self._backend is not None else None
        # what is being drawn keeps its tokens and goes on under the new weights
        self._transfer.push(servers, self.version, pool, mode="keep" if self._under_way else "wait")


async def _draw(
    backend: Backend,
    replicas: list[list[Group]],
    sampling: tuple[float, int, int],
    keep: Keep | None,
    progress: Callable[[int], None],
) -> tuple[ByReplica, float]:
    """All groups of all replicas; `sampling` is temperature, longest response and version of the weights."""
    began = time.monotonic()
    whole = [(replica, group) for replica, part in enumerate(replicas) for group in part]
    place = [(g, k) for g, (_, group) in enumerate(whole) for k in range(len(group.requests))]
    found: list[list[Any]] = [[None] * len(group.requests) for _, group in whole]
    left = [len(group.requests) for _, group in whole]

    def finished(index: int, rollout: Rollout) -> None:
        g, k = place[index]
        found[g][k] = rollout
        left[g] -= 1
        if left[g] == 0 and keep is not None:
            keep(whole[g][1], found[g])
        if whole[g][0] == 0:
            progress(1)

    requests = [whole[g][1].requests[k] for g, k in place]
    if requests:  # a batch that the bank had whole asks for nothing
        await backend.generate(requests, *sampling, finished)
    assert not any(left), "an engine hands back every response"
    drawn: ByReplica = [[] for _ in replicas]
    for (replica, _), rollouts in zip(whole, found, strict=True):
        drawn[replica].append(rollouts)
    return drawn, time.monotonic() - began
