"""The first pieces of work as text, to be read before the whole is paid for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from fleming_nemo.endpoint.exchange import Client, NoAnswer, Reply, Request
from fleming_nemo.endpoint.session import serve
from fleming_nemo.endpoint.spec import Budget, Endpoint

T = TypeVar("T")
R = TypeVar("R")


def preview(
    endpoint: Endpoint,
    cache_folder: Path,
    budget: Budget,
    work: Iterable[T],
    one: Callable[[Client, T], Awaitable[R]],
    number: int = 5,
    outcome: Callable[[R], str] = str,
) -> Iterator[str]:
    """For each of the first `number` pieces all requests, their replies and the outcome, as one text.

    Answers go into the cache, so the run itself does not pay for them again.
    """

    async def recorded(client: Client, piece: T) -> str:
        recorder = _Recorder(client)
        try:
            result = await one(recorder, piece)
        except NoAnswer as failure:
            return "\n".join([*recorder.lines, f"--- no answer: {failure}"])
        return "\n".join([*recorder.lines, "--- outcome", outcome(result)])

    texts = serve(endpoint, cache_folder, budget, islice(work, number), recorded)
    for index, text in enumerate(texts, 1):
        yield f"=== piece {index}\n{text}\n"


class _Recorder:
    def __init__(self, client: Client) -> None:
        self._client = client
        self.lines: list[str] = []

    async def ask(self, request: Request) -> Reply:
        reply = await self._client.ask(request)
        self.lines += [*_request(request), *_reply(reply)]
        return reply


def _request(request: Request) -> list[str]:
    head = f"temperature {request.temperature:g}, at most {request.max_tokens} tokens, trial {request.trial}"
    return [f"--- request ({head})", *(f"[{m['role']}] {m['content']}" for m in request.messages)]


def _reply(reply: Reply) -> list[str]:
    where = "from the cache" if reply.cached else "from the server"
    head = f"--- reply ({reply.finish}, {reply.prompt_tokens} + {reply.completion_tokens} tokens, {where})"
    thoughts = [f"[reasoning] {reply.reasoning}"] if reply.reasoning else []
    return [head, *thoughts, "(refused)" if reply.text is None else reply.text or "(empty)"]
