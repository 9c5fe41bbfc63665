"""The rollout engine over a pool of vLLM servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.rollout.vllm.completion import Asking
from fleming_nemo.rollout.vllm.dispatch import Dispatcher
from fleming_nemo.rollout.vllm.jobs import Batch, Job
from fleming_nemo.rollout.vllm.origin import ServerLost
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.schedule import Group
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.transport import Refused

_TICK_S = 0.5


class ServersGone(UserError):
    """No server is left, and the restarts that are allowed have been used."""


class NeedsWeights(Exception):
    """No server holds the weights asked for; `servers` live and want them."""

    def __init__(self, servers: list[Server]) -> None:
        super().__init__(f"{', '.join(s.name for s in servers)} hold other weights than asked for")
        self.servers = servers


class VLLMEngine:
    """Samples responses on the servers of a pool; coroutines of the pool's loop, several batches at a time.

    Each request is answered exactly once.  One whose server died, hung or answered nonsense goes to another; a
    straggler is asked a second time where a server has nothing to do, and the first answer counts.  A request's seed
    makes both ask for the same response.

    Args:
        num_tokens: ids that the tokenizer can decode.
        stop_ids: a response ends with the first of these.
        decode_batch: requests under way on one server at a time.
        stop: a response also ends where its text holds one of these; the text's tokens are part of it.
        push: gives servers the present weights, after a restart in mid-batch; None = `NeedsWeights` where none is left.
        staleness: how many steps older than asked for the weights of a server may be; newer ones are always allowed.
        progress: called with the number of finished responses.
        patience_s: how long one response may take; None = ten minutes, as the first
            ones compile, and 0.25 s for each token that it may have.
    """

    def __init__(
        self,
        pool: Pool,
        num_tokens: int,
        stop_ids: Collection[int],
        decode_batch: int,
        stop: Sequence[str] = ("</answer>",),
        push: Callable[[list[Server]], Awaitable[None]] | None = None,
        staleness: int = 0,
        progress: Callable[[int], None] = lambda finished: None,
        patience_s: float | None = None,
    ) -> None:
        self.pool = pool
        self._push, self._staleness = push, staleness
        asking = Asking(num_tokens, frozenset(stop_ids), tuple(stop))
        self._dispatcher = Dispatcher(pool, asking, decode_batch, progress, patience_s)
        self._repairs: dict[Server, asyncio.Task[bool]] = {}
        self._pushing: asyncio.Task[None] | None = None

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None] = lambda index, rollout: None,
    ) -> list[Rollout]:
        """See `RolloutEngine.generate`; `finished` hears of every rollout once, by its request's index, as it comes.

        Cancelling it aborts its requests on the servers; so does an exception of `finished`, which it raises.

        Raises:
            ServersGone: all servers are dead and may not be restarted once more.
            NeedsWeights: servers live, none has the weights, and there is no `push`.
            UserError: a request that no server accepts, or replies that are never right.
        """
        if not requests:
            return []
        oldest = weight_version - self._staleness

        def allowed(server: Server) -> bool:
            return server.alive and server.version is not None and server.version >= oldest

        await self._believe_versions()
        ended = asyncio.get_running_loop().create_future()
        batch = Batch(temperature, max_response, finished, [None] * len(requests), ended, allowed)
        groups: dict[tuple[int, ...], Group[Job]] = {}
        for index, request in enumerate(requests):
            group = groups.get(request.prompt)
            if group is None:
                group = groups[request.prompt] = Group(self._dispatcher.lengths.expected(request.prompt), allowed)
            job = Job(index, request, batch, group)
            group.waiting.append(job)
            batch.jobs.append(job)
        batch.groups = list(groups.values())
        try:
            self._dispatcher.add(batch)
            while not ended.done():
                self._tend(batch)
                self._dispatcher.pump()
                await asyncio.wait([ended], timeout=_TICK_S)
            ended.result()
        finally:
            if not ended.done():
                ended.cancel()
            await self._dispatcher.drop(batch)
        return [rollout for rollout in batch.rollouts if rollout is not None]

    async def close(self) -> None:
        """End repairs that are still under way."""
        tasks = [*self._repairs.values(), *([self._pushing] if self._pushing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._dispatcher.close()

    def _tend(self, batch: Batch) -> None:
        """Restart what has died, give weights to what has none, end the batch where neither is possible."""
        pool = self.pool
        for server, task in list(self._repairs.items()):
            if task.done():
                del self._repairs[server]
                if not task.cancelled() and (error := task.exception()):
                    batch.fail(error)
        if self._pushing is not None and self._pushing.done():
            task_error = None if self._pushing.cancelled() else self._pushing.exception()
            self._pushing = None
            if task_error is not None and not isinstance(task_error, ServerLost):
                batch.fail(task_error)
        for server in pool.servers:
            if not server.alive and not pool.given_up(server) and server not in self._repairs:
                self._repairs[server] = asyncio.create_task(pool.restart(server), name=f"restart {server.name}")
        if all(map(pool.given_up, pool.servers)):
            batch.fail(
                ServersGone(f"all vLLM servers are gone ({pool.epitaph()}); the same command goes on from here.")
            )
        needy = [server for server in pool.servers if server.alive and not batch.allowed(server)]
        if needy and self._push is not None and self._pushing is None:
            self._pushing = asyncio.create_task(self._give_weights(self._push, needy), name="push")
        if self._push is None and not self._repairs and not any(map(batch.allowed, pool.servers)):
            batch.fail(NeedsWeights(needy))

    async def _give_weights(self, push: Callable[[list[Server]], Awaitable[None]], servers: list[Server]) -> None:
        await push(servers)
        for server in servers:
            if not server.alive:
                continue
            if server.version is not None:
                self.pool.note("weights_pushed", server, version=server.version)
            elif self.pool.failed(server):
                self.pool.lost(server, "it does not take the weights")
        self.pool.changed()

    async def _believe_versions(self) -> None:
        """A server that was restarted behind our back has other weights than we think: it is asked, once a batch."""

        async def ask(server: Server) -> None:
            try:
                told = await self.pool.control(server, "/weight_info", timeout_s=60.0)
            except (ServerLost, Refused):
                return
            if server.version is not None and told.get("weight_version") != str(server.version):
                self.pool.note("other_weights", server, expected=server.version, found=told.get("weight_version"))
                server.version = None

        await asyncio.gather(*(ask(s) for s in self.pool.servers if s.alive and s.version is not None))
