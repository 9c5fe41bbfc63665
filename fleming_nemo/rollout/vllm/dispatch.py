"""Requests on their way: sent, answered, sent again, until each has its one answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.pace import growing_pause
from fleming_nemo.rollout.types import Rollout
from fleming_nemo.rollout.vllm import completion
from fleming_nemo.rollout.vllm.completion import Aborted, Answer, Asking, BadReply
from fleming_nemo.rollout.vllm.jobs import Attempt, Batch, Job, stragglers
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.schedule import Lengths, Queue
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.transport import Lost, Refused

FAILURES = 4
"""Wrong replies to one request before the batch is given up."""
LOSSES = 6
"""Servers that may die over one request: it may be what kills them."""
_PAUSE_S = 0.1
_ASK_S = 60.0
_BASE_S, _TOKEN_S = 600.0, 0.25


class Dispatcher:
    """Sends what waits to servers with room; see `VLLMEngine`."""

    def __init__(
        self, pool: Pool, asking: Asking, bound: int, progress: Callable[[int], None], patience_s: float | None
    ) -> None:
        self._pool, self._asking, self._progress, self._patience_s = pool, asking, progress, patience_s
        self._queue: Queue[Job] = Queue(bound)
        self.lengths = Lengths()
        self._batches: list[Batch] = []
        pool.listeners.append(self._servers_changed)

    def close(self) -> None:
        self._pool.listeners.remove(self._servers_changed)

    def add(self, batch: Batch) -> None:
        self._batches.append(batch)
        for group in batch.groups:
            self._queue.add(group)

    async def drop(self, batch: Batch) -> None:
        """Forget a batch that has ended; what is still under way for it is aborted on its server."""
        self._batches.remove(batch)
        self._queue.drop(batch.groups)
        tasks = [task for job in batch.jobs for task in job.attempts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pump(self) -> None:
        """Hand out all that there is room for."""
        for job, server in self._queue.take(self._pool.servers):
            self._send(job, server)
        if not self._queue:
            for batch in self._batches:
                for job, server in stragglers(batch, self._pool.servers):
                    self._note("straggler_asked_again", job, server)
                    self._send(job, server)

    def _send(self, job: Job, server: Server) -> None:
        server.outstanding += 1
        attempt = Attempt(server, server.incarnation, server.version)
        task = asyncio.create_task(self._attempt(job, attempt))
        job.attempts[task] = attempt
        task.add_done_callback(lambda done: self._over(job, done))

    def _over(self, job: Job, task: asyncio.Task[None]) -> None:
        attempt = job.attempts.pop(task)
        attempt.server.outstanding -= 1
        if not task.cancelled() and (error := task.exception()):
            job.batch.fail(error)
        elif attempt.gone and not job.done:
            self._reissue(job, attempt.server)
        self._wait_again(job)
        self.pump()

    def _wait_again(self, job: Job) -> None:
        """Back into the queue, if nothing is under way for it and it still has no answer."""
        if job.attempts or job.done or job.batch.ended.done() or job in job.group.waiting:
            return
        job.group.waiting.appendleft(job)
        self._queue.add(job.group)

    async def _attempt(self, job: Job, attempt: Attempt) -> None:
        server, batch = attempt.server, job.batch
        asked = completion.body(self._asking, job.request, batch.temperature, batch.max_response)
        patience = self._patience_s or _BASE_S + _TOKEN_S * batch.max_response
        try:
            reply = await self._pool.http.post(server.address, completion.PATH, asked, patience)
            answer = completion.read(self._asking, job.request, batch.max_response, reply)
            last = await self._version_now(attempt)
        except Aborted:
            self._note("request_aborted", job, server)
        except Lost as error:
            await self._lost(job, attempt, error)
        except BadReply as error:
            await self._failed(job, attempt, str(error))
        except Refused as error:
            if error.status in (401, 403):
                raise UserError(f"{server.address.url} refuses the key of the run; start all anew.") from error
            if error.status < 500:
                raise UserError(f"the vLLM server refuses a request: {error.said[:300]}") from error
            await self._failed(job, attempt, f"HTTP {error.status}: {error.said[:200]}")
        else:
            self._answered(job, attempt, answer, last)

    async def _version_now(self, attempt: Attempt) -> int | None:
        """Of the weights that sampled the last token, if others than the first: they may change in mid-response."""
        server = attempt.server
        version = attempt.version if attempt.gone else server.version
        if version is None:  # the server goes on with new weights, and the transfer has not said so yet
            told = await self._pool.http.get(server.address, "/weight_info", _ASK_S)
            if not str(told.get("weight_version")).isdigit():
                raise BadReply(f"weights of no known version ({told})")
            version = int(told["weight_version"])
        return None if version == attempt.version else version

    def _answered(self, job: Job, attempt: Attempt, answer: Answer, last: int | None) -> None:
        batch, server = job.batch, attempt.server
        if job.done or batch.ended.done():
            return  # the other attempt was faster
        assert attempt.version is not None
        rollout = Rollout(answer.tokens, answer.logprobs, answer.finished, job.request.seed, attempt.version, last)
        batch.rollouts[job.index] = rollout
        batch.durations.append(time.monotonic() - attempt.began)
        for task, other in job.attempts.items():
            if other is not attempt:
                task.cancel()
        self._pool.answered(server)
        self.lengths.learn(job.request.prompt, len(answer.tokens))
        try:
            batch.finished(job.index, rollout)
            self._progress(1)
        except Exception as error:
            batch.fail(error)
            return
        if len(batch.durations) == len(batch.jobs) and not batch.ended.done():
            batch.ended.set_result(None)

    async def _lost(self, job: Job, attempt: Attempt, error: Lost) -> None:
        """Its server died, hung, or only the connection broke."""
        server = attempt.server
        if attempt.gone:
            return
        if error.timed_out:
            self._pool.lost(server, f"no answer to a request: {error}")
        elif await self._still_there(server):
            await self._failed(job, attempt, str(error))
        elif not attempt.gone:
            self._pool.lost(server, f"connection lost: {error}")

    def _reissue(self, job: Job, server: Server) -> None:
        job.losses += 1
        self._note("request_reissued", job, server)
        if job.losses >= LOSSES:
            told = (
                f"{LOSSES} vLLM servers in a row died over one request (seed {job.request.seed}); look at vllm_*.log."
            )
            job.batch.fail(UserError(told))

    async def _still_there(self, server: Server) -> bool:
        try:
            await self._pool.http.get(server.address, "/health", 10.0)
        except (Lost, Refused):
            return False
        return server.alive

    async def _failed(self, job: Job, attempt: Attempt, why: str) -> None:
        server = attempt.server
        job.failures += 1
        self._note("request_retried", job, server, why=why)
        if job.failures >= FAILURES:
            raise UserError(
                f"vLLM gave no usable response in {FAILURES} attempts (the last: {why}); if its numbers are not finite "
                "the weights are not: go on from an earlier checkpoint with a lower optim.lr, else look at vllm_*.log."
            )
        if not attempt.gone and self._pool.failed(server):
            self._pool.lost(server, f"wrong replies, the last: {why}")
        await asyncio.sleep(growing_pause(_PAUSE_S, job.failures, f"{job.request.seed}"))

    def _servers_changed(self) -> None:
        """Requests on a server that is gone are not waited for: a lost node never closes its connections."""
        for batch in self._batches:
            for job in batch.jobs:
                for task, attempt in job.attempts.items():
                    if attempt.gone:
                        task.cancel()
        self.pump()

    def _note(self, event: str, job: Job, server: Server, **facts: object) -> None:
        self._pool.note(event, server, seed=job.request.seed, **facts)
