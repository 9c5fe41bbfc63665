"""What rank 0 asks of the servers: at most four requests of each for an update, and one more for a new group.

`pause` also empties the prefix cache and, for requests that go on afterwards, the keys and values of the old weights.
`fleming_update` (`worker/fleming_transfer/extension.py`) starts, receives and finishes, and answers with the version
that every worker then holds.  vLLM's own label of the version follows, for whoever asks /weight_info, and `resume`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.pool import Pool
    from fleming_nemo.rollout.vllm.server import Server

Future = concurrent.futures.Future[Any]


class Control:
    """The requests of one push; called from the main thread while the pool's loop runs in another.

    Attributes:
        requests: how many each server got.
    """

    def __init__(self, pool: Pool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self.requests: Counter[Server] = Counter()

    def join(self, server: Server, meeting: dict[str, Any], rank_offset: int) -> Future:
        """Take part in a new group; answered when all its ranks have met."""
        body = {"init_info": {"meeting": meeting, "rank_offset": rank_offset}}
        return self._start(server, "/init_weight_transfer_engine", json=body)

    def pause(self, server: Server, mode: str) -> Future:
        """Stop generating: `wait` for requests under way, or `keep` them for later."""
        return self._start(server, "/pause", params={"mode": mode, "clear_cache": "true"})

    def update(self, server: Server, info: dict[str, Any]) -> Future:
        """Receive and take the weights that are about to be sent."""
        return self._start(server, "/collective_rpc", json={"method": "fleming_update", "kwargs": {"update": info}})

    def label(self, server: Server, version: int) -> Future:
        return self._start(server, "/update_weight_version", json={"new_version": str(version)})

    def resume(self, server: Server) -> Future:
        return self._start(server, "/resume")

    def give_up(self, server: Server, why: str) -> None:
        """Have the pool take it for dead: it was asked, and neither answers nor goes on."""
        self._pool.loop.call_soon_threadsafe(self._pool.lost, server, why)

    def _start(self, server: Server, path: str, **content: Any) -> Future:
        self.requests[server] += 1
        call: Coroutine[Any, Any, Any] = self._pool.control(server, path, timeout_s=self._timeout_s, **content)
        return asyncio.run_coroutine_threadsafe(call, self._pool.loop)


def outcomes(servers: list[Server], ask: Callable[[Server], Future]) -> dict[Server, Exception | Any]:
    """Ask all servers at once; what each answers, or the error that it ended in."""
    waiting = {server: ask(server) for server in servers}
    return {server: outcome(future) for server, future in waiting.items()}


def outcome(future: Future, timeout_s: float | None = None) -> Exception | Any:
    """The answer, or the error that it ended in; TimeoutError where there is neither in that time."""
    try:
        return future.result(timeout_s)
    except Exception as error:
        return error
