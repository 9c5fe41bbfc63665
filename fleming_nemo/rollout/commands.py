"""What rank 0 tells the other ranks while servers work: wait, take part in a transfer of weights, be done.

Rank 0 looks after coroutines that run in a loop of their own thread; the main threads of all ranks are here, in a
broadcast every few seconds.  So no collective operation waits for a generation, however long it takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.training import watchdog

BEAT_S = 2.0
"""Between two commands, where nothing happens."""


class Commands:
    """Made on all ranks together.

    Args:
        push: gives servers the present weights, by all ranks together; they are None on ranks other than 0.
        holds: whether a server has the present weights.
    """

    def __init__(self, push: Callable[[Sequence[Any] | None], None], holds: Callable[[Any], bool]) -> None:
        self._push, self._holds = push, holds
        self.group = dist.new_group(backend="gloo")  # a broadcast of NCCL would keep a GPU busy while it waits
        self._wanted: deque[tuple[Sequence[Any], Callable[[], Any]]] = deque()
        self._stir = threading.Event()

    def watched(self, future: Future[Any]) -> Future[Any]:
        """Have `follow` notice the end of a coroutine at once."""
        future.add_done_callback(lambda _: self._stir.set())
        return future

    async def want(self, servers: Sequence[Any]) -> None:
        """In rank 0's loop: have these servers get the present weights as soon as the main threads are free."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()
        self._wanted.append((servers, lambda: loop.call_soon_threadsafe(there.set)))
        self._stir.set()
        await there.wait()

    def follow(self, future: Future[Any] | None) -> Any:
        """Do what rank 0 says until its coroutine has ended; returns the result, on rank 0.  Collective.

        Raises:
            UserError, OSError: on every rank, where the coroutine raised it.
        """
        while True:
            command: list[Any] = [self._next(future) if future is not None else None]
            own = command[0]
            dist.broadcast_object_list(command, 0, group=self.group)
            watchdog.beat()
            word, detail = command[0]
            if word == "error":
                raise own[1] if own else detail
            if word == "done":
                return future.result() if future is not None else None
            if word == "push":
                self._answer()

    def _next(self, future: Future[Any]) -> tuple[str, Any]:
        if not self._wanted and not future.done():
            self._stir.wait(BEAT_S)
            self._stir.clear()
        while self._wanted:
            servers, answer = self._wanted[0]
            if not all(map(self._holds, servers)):
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

    def _answer(self) -> None:
        if not self._wanted:
            self._push(None)
            return
        servers, answer = self._wanted.popleft()
        self._push([server for server in servers if not self._holds(server)])
        answer()
