"""An engine on servers, used by all trainer ranks together: rank 0 talks to the servers, the others hear commands.

    requests    gathered from the data-parallel replicas to rank 0
    commands    rank 0 tells every few seconds what to do: wait (and be alive to the watchdog), push weights, be done
    rollouts    every rank gets those of its replica

So no collective operation ever waits for a generation, however long it takes, and a server that had to be restarted in
mid-batch can be given the weights, which all ranks hold parts of.  This works under every trainer layout.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.backend import Backend, Group, WeightTransfer
from fleming_nemo.rollout.loop import Loop
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.training import watchdog

BEAT_S = 2.0
"""Between two commands, where nothing happens."""

Keep = Callable[[Group, list[Rollout]], None]


@dataclass
class Drawing:
    """Responses under way.

    Attributes:
        future: of the rollouts of every replica; on rank 0.
        replicas: data-parallel rank of every rank; on rank 0.
    """

    future: Future[list[list[list[Rollout]]]] | None = None
    replicas: list[int] = field(default_factory=list)


class RemoteEngine:
    """A `RolloutEngine` whose methods are collective over all trainer ranks; call them from the main thread.

    Args:
        backend: None on ranks other than 0.
        transfer: gives the trainer's weights to servers.
        progress: called on rank 0 with the number of finished responses of the first replica.

    Attributes:
        version: training step of the weights that the trainer has.
        seconds: how long the servers worked on the drawing that was finished last.
    """

    def __init__(self, backend: Backend | None, transfer: WeightTransfer) -> None:
        self._backend, self._transfer = backend, transfer
        self._loop = Loop("rollouts") if backend is not None else None
        self._commands = dist.new_group(backend="gloo")  # a broadcast of NCCL would keep a GPU busy while it waits
        self._opened = self._up = False
        self._under_way = 0
        self._wanted: deque[tuple[Sequence[Any], Callable[[], Any]]] = deque()
        self._stir = threading.Event()
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
            self._serve(self._start(lambda backend: backend.open(self._want)))
        self._serve(self._start(lambda backend: backend.bring_up(version)))
        self._up = True

    def rest(self) -> None:
        """Nothing is drawn for a while: the servers give back what they share with training."""
        if self._up and not self._under_way:
            self._serve(self._start(lambda backend: backend.rest()))
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
        dist.gather_object(mine, parts, 0, group=self._commands)
        version = self.version
        assert version is not None, "the servers have no weights yet"
        self._under_way += 1
        if parts is None:
            return Drawing()
        replicas = [asked for _, asked in sorted((p for p in parts if p[1] is not None), key=lambda part: part[0])]
        work = self._start(lambda backend: self._draw(backend, replicas, temperature, max_response, version, keep))
        return Drawing(work, [replica for replica, _ in parts])

    def finish(self, drawing: Drawing) -> list[list[Rollout]]:
        """The rollouts of this rank's replica, in the order of its groups.

        Raises:
            UserError: on every rank, where rank 0 met it.
        """
        by_replica = self._serve(drawing.future)
        self._under_way -= 1
        parts = None
        if by_replica is not None:
            parts = [(by_replica[replica], self.seconds) for replica in drawing.replicas]
        mine: list[Any] = [None]
        dist.scatter_object_list(mine, parts, 0, group=self._commands)
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
        future = self._loop.start(work(self._backend))
        future.add_done_callback(lambda _: self._stir.set())
        return future

    def _serve(self, future: Future[Any] | None) -> Any:
        """Follow rank 0's commands until what it waits for is there; returns that, on rank 0."""
        while True:
            command: list[Any] = [self._next_command(future) if future is not None else None]
            own = command[0]
            dist.broadcast_object_list(command, 0, group=self._commands)
            watchdog.beat()
            word, detail = command[0]
            if word == "error":
                raise own[1] if own else detail
            if word == "done":
                return future.result() if future is not None else None
            if word == "push":
                self._push()

    def _next_command(self, future: Future[Any]) -> tuple[str, Any]:
        if not self._wanted and not future.done():
            self._stir.wait(BEAT_S)
            self._stir.clear()
        while self._wanted:
            servers, answer = self._wanted[0]
            if any(server.version != self.version for server in servers):
                return "push", None
            self._wanted.popleft()  # they got the weights with all others, in the meantime
            answer()
        if not future.done():
            return "wait", None
        error = future.exception()
        if isinstance(error, UserError | OSError):
            return "error", error
        if error is not None:
            raise error
        return "done", None

    async def _want(self, servers: Sequence[Any]) -> None:
        """Have these servers get the present weights, by all ranks together as soon as their main threads are free."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()
        self._wanted.append((servers, lambda: loop.call_soon_threadsafe(there.set)))
        self._stir.set()
        await there.wait()

    def _push(self) -> None:
        servers, answer = self._wanted.popleft() if self._wanted else (None, lambda: None)
        assert self.version is not None
        pool = self._backend.pool if self._backend is not None else None
        if servers is not None:
            servers = [server for server in servers if server.version != self.version]
        # what is being drawn keeps its tokens and goes on under the new weights
        self._transfer.push(servers, self.version, pool, mode="keep" if self._under_way else "wait")
        answer()

    async def _draw(
        self,
        backend: Backend,
        replicas: list[list[Group]],
        temperature: float,
        max_response: int,
        version: int,
        keep: Keep | None,
    ) -> list[list[list[Rollout]]]:
        began = time.monotonic()
        whole = [(n, group) for n, part in enumerate(replicas) for group in part]
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
                self.progress(1)

        requests = [whole[g][1].requests[k] for g, k in place]
        # a batch that the bank had whole asks for nothing
        rollouts = await backend.generate(requests, temperature, max_response, version, finished) if requests else []
        self.seconds = time.monotonic() - began
        drawn: list[list[list[Rollout]]] = [[[] for _ in part] for part in replicas]
        starts = [sum(map(len, replicas[:n])) for n in range(len(replicas))]
        for (g, _), rollout in zip(place, rollouts, strict=True):
            replica = whole[g][0]
            drawn[replica][g - starts[replica]].append(rollout)
        return drawn
