"""Requests over HTTP: each distinct one is bought once, and kept before anybody sees its answer.

Order of what happens to a request that the cache does not hold: a free slot (concurrency), the rate limits, the budget,
the call. A failure that may pass is tried again after a growing pause, or after the one that the server asks for, which
then holds back all calls. A refused key, a used-up budget or an endpoint that stays away stop the client: calls under
way are still waited for and kept, no new one goes out.
"""

from __future__ import annotations

import asyncio
import hashlib

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.account import Account, Bound, bound
from fleming_nemo.endpoint.cache import Cache
from fleming_nemo.endpoint.exchange import NoAnswer, Reply, Request, encoded
from fleming_nemo.endpoint.pace import LONGEST_WAIT_S, Bucket, growing_pause
from fleming_nemo.endpoint.panel import Tally
from fleming_nemo.endpoint.spec import Budget, Endpoint
from fleming_nemo.endpoint.transport import Transport
from fleming_nemo.endpoint.wire import Passing

GIVE_UP = 8
"""So many requests in a row without an answer, after all their attempts, are an endpoint that stays away."""


class HttpClient:
    """`async with HttpClient(endpoint, cache, budget, tally) as client`, within one event loop."""

    def __init__(self, endpoint: Endpoint, cache: Cache, budget: Budget, tally: Tally) -> None:
        self.endpoint, self.tally = endpoint, tally
        self._cache = cache
        self._account = Account(budget, cache.tokens, cache.cost)
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._calls = Bucket(endpoint.requests_per_minute, sleep=self._sleep) if endpoint.requests_per_minute else None
        self._tokens = Bucket(endpoint.tokens_per_minute, sleep=self._sleep) if endpoint.tokens_per_minute else None
        self._under_way: dict[str, asyncio.Future[Reply]] = {}
        self._stopped = asyncio.Event()
        self._why: UserError | None = None
        self._not_before = 0.0
        self._ever_answered, self._failed_in_row = False, 0
        self._http = Transport(endpoint)

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def stop(self, why: UserError) -> None:
        """No further calls; whoever wants one gets `why`."""
        self._why = self._why or why
        self._stopped.set()

    async def ask(self, request: Request) -> Reply:
        """From the cache, else from the server; see Client.ask for the errors."""
        content = encoded(request.body(self.endpoint.model))
        digest = hashlib.sha256(content).hexdigest()
        while True:
            found = self._cache.get(digest)
            self.tally.damaged = self._cache.num_damaged
            if found:
                self.tally.cached += 1
                return found
            if not (same := self._under_way.get(digest)):
                break
            await asyncio.wait([same])
            if not same.cancelled() and (failure := same.exception()):
                raise failure
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._under_way[digest] = future
        try:
            reply = await self._buy(request, content, digest)
            future.set_result(reply)
            return reply
        except Exception as error:
            future.set_exception(error)
            future.exception()  # nobody else may be waiting for it
            raise
        finally:
            future.cancel()
            del self._under_way[digest]

    async def _buy(self, request: Request, content: bytes, digest: str) -> Reply:
        most = bound(self.endpoint, request)
        async with self._slots:
            for attempt in range(1, self.endpoint.attempts + 1):
                await self._wait_for_turn(most)
                try:
                    return await self._attempt(content, digest, most, attempt)
                except UserError as error:
                    self.stop(error)
                    raise
                except NoAnswer as failure:
                    raise self._failed(failure) from None
                except Passing as failure:
                    last = failure
                    self.tally.passing[failure.kind] += 1
                pause = growing_pause(self.endpoint.pause_s, attempt, digest)
                if last.wait_s is not None:
                    pause = max(pause, last.wait_s)
                    self._hold_back(last)
                if attempt < self.endpoint.attempts:
                    await self._sleep(pause)
        raise self._failed(NoAnswer(f"no answer in {self.endpoint.attempts} attempts: {last}", last.kind))

    async def _wait_for_turn(self, most: Bound) -> None:
        """Rate limits, and pauses that the server asked for."""
        if self._why:
            raise self._why
        clock = asyncio.get_running_loop().time
        while (pause := self._not_before - clock()) > 0:
            await self._sleep(pause)
        if self._calls:
            await self._calls.take(1)
        if self._tokens:
            await self._tokens.take(most.tokens)

    async def _attempt(self, content: bytes, digest: str, most: Bound, attempt: int) -> Reply:
        """One call, kept in the cache and in the account."""
        await self._account.hold(most)
        tokens, cost = 0, 0.0
        try:
            if self._why:
                raise self._why
            self.tally.calls += 1
            self.tally.retries += attempt > 1
            try:
                reply = await self._http.post(content, most)
            except Passing as failure:
                if failure.charged:
                    tokens, cost = most.tokens, most.cost
                    self.tally.lost_tokens += tokens
                    self._cache.add_lost(most.prompt_tokens, most.completion_tokens, cost)
                raise
            tokens = reply.prompt_tokens + reply.completion_tokens
            cost = self.endpoint.cost(reply.prompt_tokens, reply.completion_tokens)
            self._cache.add(digest, reply, cost)
        finally:
            self._account.settle(most, tokens, cost)
            self.tally.cost += cost
            if self._tokens:
                self._tokens.give_back(max(0, most.tokens - tokens))
        self.tally.prompt_tokens += reply.prompt_tokens
        self.tally.completion_tokens += reply.completion_tokens
        self._ever_answered, self._failed_in_row = True, 0
        return reply

    def _hold_back(self, failure: Passing) -> None:
        wait = failure.wait_s or 0.0
        if wait > LONGEST_WAIT_S:
            self.stop(
                UserError(
                    f"{self.endpoint.url} asks to come back in {wait:.0f} s ({failure}); start the same command again "
                    f"then, finished answers are kept."
                )
            )
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + wait)

    def _failed(self, failure: NoAnswer) -> Exception:
        """What the end of all attempts is: one request without an answer, or an endpoint that stays away."""
        self.tally.failures[failure.kind] += 1
        self._failed_in_row += 1
        unreachable = failure.kind == "not reachable" and not self._ever_answered
        if unreachable or self._failed_in_row >= GIVE_UP:
            row = "" if unreachable else f"{self._failed_in_row} requests in a row without an answer, the last: "
            self.stop(
                UserError(
                    f"{self.endpoint.url}: {row}{failure}; check --endpoint and the server. Finished answers are kept, "
                    f"the same command goes on from there."
                )
            )
        return self._why or failure

    async def _sleep(self, seconds: float) -> None:
        """Ends early, with the reason, when the client is stopped."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        assert self._why
        raise self._why
