"""An endpoint for plain code: an event loop in a thread of its own, so that a slow consumer delays no reply."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.cache import Cache
from fleming_nemo.endpoint.client import HttpClient
from fleming_nemo.endpoint.exchange import Client, Reply, Request
from fleming_nemo.endpoint.panel import Panel, Tally
from fleming_nemo.endpoint.spec import Budget, Endpoint

T = TypeVar("T")
R = TypeVar("R")

# Pieces begun and not yet handed out, for each call at a time: a slow one in front must not leave the others idle.
_AHEAD = 4


class Session:
    """An open cache and a client; `run` may be called several times. Use as a context manager.

    Raises UserError on entering when another process uses the cache.
    """

    def __init__(self, endpoint: Endpoint, cache_folder: Path, budget: Budget, tally: Tally | None = None) -> None:
        self.endpoint, self.budget = endpoint, budget
        self.tally = tally or Tally()
        self.cache = Cache(cache_folder)

    def __enter__(self) -> Session:
        with ExitStack() as undo:
            self.cache.__enter__()
            undo.callback(self.cache.__exit__)
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
            self._thread.start()
            undo.callback(self._end_loop)
            self._client = self._submit(self._open()).result()
            undo.callback(lambda: self._submit(self._close()).result())
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def run(self, work: Iterable[T], one: Callable[[Client, T], Awaitable[R]]) -> Iterator[R]:
        """Results of `one` for every piece of `work`, in order of work.

        `work` is read as room appears; at most 4 pieces for each call at a time are in memory. What `one` raises ends
        the run, as does a caller that stops reading; calls under way are waited for and kept first, as they are paid
        for. Not so after Ctrl-C.
        """
        begun: deque[concurrent.futures.Future[R]] = deque()
        pieces = iter(work)
        try:
            while True:
                while len(begun) < _AHEAD * self.endpoint.concurrency:
                    try:
                        piece = next(pieces)
                    except StopIteration:
                        break
                    begun.append(self._submit(_awaited(one, self._client, piece)))
                if not begun:
                    return
                yield begun.popleft().result()
        except (Exception, GeneratorExit) as error:
            why = error if isinstance(error, UserError) else UserError("the run was stopped.")
            self._loop.call_soon_threadsafe(self._client.stop, why)
            concurrent.futures.wait(begun)
            raise
        finally:
            for future in begun:
                future.cancel()

    def client(self) -> Client:
        """A client for code of another event loop, such as that of another session."""
        return _Elsewhere(self)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> HttpClient:
        return HttpClient(self.endpoint, self.cache, self.budget, self.tally)

    async def _close(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._client.__aexit__()

    def _submit(self, work: Coroutine[Any, Any, R]) -> concurrent.futures.Future[R]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class _Elsewhere:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(self, request: Request) -> Reply:
        return await asyncio.wrap_future(self._session._submit(self._session._client.ask(request)))


def serve(
    endpoint: Endpoint,
    cache_folder: Path,
    budget: Budget,
    work: Iterable[T],
    one: Callable[[Client, T], Awaitable[R]],
    panel: Panel | None = None,
) -> Iterator[R]:
    """`Session.run` for one list of work; `panel` shows the calls, and the caller tells it what became of each piece.

    Raises UserError when the run has to stop (key, budget, endpoint away); what `one` raises otherwise comes through.
    """
    with Session(endpoint, cache_folder, budget, panel.tally if panel else None) as session:
        yield from session.run(work, one)


async def _awaited(one: Callable[[Client, T], Awaitable[R]], client: Client, piece: T) -> R:
    return await one(client, piece)
