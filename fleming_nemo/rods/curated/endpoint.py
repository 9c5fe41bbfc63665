"""Questions to a model behind an OpenAI-compatible endpoint, many at a time, each answer bought once.

Every answer is in the cache before the next question goes out from the same slot, so a kill loses only the calls that
are under way. The key comes from an environment variable and goes into one header: it is in no message, no cache, no
error, and it follows no redirect to another host.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.curated.answer_cache import AnswerCache, Reply, cache_key

LONGEST_WAIT_S = 60.0
# What another attempt may repair. A 409 or 425 is a server that asks to come again.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# The server understood and will not answer this one: a content filter, a text too long.
_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True)
class Endpoint:
    """A model to ask.

    Attributes:
        base_url: up to and without "/chat/completions", for example "http://localhost:8000/v1".
        key_env: environment variable that holds the key; it may be unset for a server without keys.
        concurrency: calls under way at the same time.
        attempts: calls before a passing error (rate limit, overload, lost connection) stops the run.
        wait_s: pause after the first failure; it doubles, unless the server says how long.
    """

    base_url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 16
    timeout_s: float = 180.0
    attempts: int = 6
    wait_s: float = 1.0
    temperature: float = 1.0
    max_tokens: int = 4096

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"base_url {parts.hostname or self.base_url[:80]!r}: expected http(s)://HOST/v1.")
        if parts.username or parts.password or parts.query:
            raise UserError("base_url holds a user, a password or a query; keys belong into an environment variable.")
        if self.concurrency < 1 or self.attempts < 1:
            raise UserError("concurrency and attempts must be at least 1.")

    def body(self, prompt: str, trial: int) -> dict[str, Any]:
        """What is sent, and with it what the cache knows the answer by."""
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": trial,
        }


def ask(endpoint: Endpoint, prompts: Iterable[tuple[str, int]], cache: AnswerCache, label: str = "asking") -> int:
    """Put an answer to every (prompt, trial) into `cache`; returns the number of calls that were needed.

    Raises UserError when the endpoint stays unreachable or refuses the key; what was answered stays in the cache.
    """
    wanted: dict[str, dict[str, Any]] = {}
    for prompt, trial in prompts:
        body = endpoint.body(prompt, trial)
        key = cache_key(body)
        if key not in cache:
            wanted[key] = body
    if wanted:
        asyncio.run(_ask_all(endpoint, wanted, cache, label))
    return len(wanted)


async def _ask_all(endpoint: Endpoint, wanted: dict[str, dict[str, Any]], cache: AnswerCache, label: str) -> None:
    queue: Iterator[tuple[str, dict[str, Any]]] = iter(wanted.items())
    loop = asyncio.get_running_loop()
    slots = min(endpoint.concurrency, len(wanted))
    # The standard library speaks HTTP in blocking calls only: one thread a slot waits on the socket, nothing more.
    pool = ThreadPoolExecutor(slots)
    with tqdm(total=len(wanted), desc=label, unit="call", disable=None) as bar:

        async def slot() -> None:
            for key, body in queue:
                cache.add(key, await _persist(endpoint, body, loop, pool))
                bar.update()

        tasks = [asyncio.create_task(slot()) for _ in range(slots)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            pool.shutdown(wait=False, cancel_futures=True)


async def _persist(
    endpoint: Endpoint, body: dict[str, Any], loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor
) -> Reply:
    wait = endpoint.wait_s
    for attempt in range(1, endpoint.attempts + 1):
        reply, problem, asked_wait = await loop.run_in_executor(pool, _call, endpoint, body)
        if reply:
            return reply
        if attempt < endpoint.attempts:
            await asyncio.sleep(min(wait if asked_wait is None else asked_wait, LONGEST_WAIT_S))
            wait *= 2
    raise UserError(
        f"{endpoint.base_url}: no answer after {endpoint.attempts} attempts ({problem}); answers so far are kept, the "
        f"same command goes on from there."
    )


def _call(endpoint: Endpoint, body: dict[str, Any]) -> tuple[Reply | None, str, float | None]:
    """(reply or None, problem that may pass, seconds the server asks to wait)."""
    key = os.environ.get(endpoint.key_env, "")
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with _OPENER.open(request, timeout=endpoint.timeout_s) as response:
            return _reply(json.loads(response.read())), "", None
    except urllib.error.HTTPError as error:
        with error:
            said = _without(error.read(2000).decode("utf-8", "replace"), key)[:300]
            if error.code in _PASSING:
                return None, f"HTTP {error.code}: {said}", _retry_after(error.headers.get("Retry-After"))
            if error.code in _REFUSED:
                return Reply(None, f"HTTP {error.code}: {said}"), "", None
            hint = f"check the key in ${endpoint.key_env}" if error.code in (401, 403) else "check base_url and model"
            raise UserError(f"{url}: HTTP {error.code} ({said}); {hint}.") from None
    except (OSError, urllib.error.URLError) as error:
        return None, _without(str(error), key), None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return None, f"not the reply of a chat endpoint: {type(error).__name__}", None
    except Exception as error:  # http.client's protocol errors share no base with the above
        return None, type(error).__name__, None


def _reply(tree: Any) -> Reply:
    choice = tree["choices"][0]
    text = choice["message"]["content"]
    return Reply(text if isinstance(text, str) else "", str(choice.get("finish_reason") or "stop"))


def _retry_after(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # a date: our own pause will do
        return None


def _without(text: str, key: str) -> str:
    """Servers quote the key that they refuse."""
    return text.replace(key, "[key]") if key else text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the Authorization header along to whatever host it is sent to."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)
