"""Requests to one server and what can become of them."""

from __future__ import annotations

import asyncio
import json as json_module
import logging
from typing import Any

import httpx2

from fleming_nemo.rollout.vllm.address import Address, Key

_CONNECT_S = 10.0
_MOST_BYTES = 256 << 20


class Lost(Exception):
    """No whole reply came: refused, broken off, or none in time (`timed_out`)."""

    def __init__(self, detail: str, timed_out: bool = False) -> None:
        super().__init__(detail)
        self.timed_out = timed_out


class Refused(Exception):
    """The server answered with an error.

    Attributes:
        status: of HTTP (RFC 9110).
        said: the server's words, cut short, without the key.
    """

    def __init__(self, url: str, status: int, said: str) -> None:
        super().__init__(f"{url}: HTTP {status}: {said}")
        self.status, self.said = status, said


class Http:
    """Connections to all servers of a pool; lives in one asyncio loop. No proxy, no redirect ever sees the key."""

    def __init__(self, key: Key) -> None:
        self._key = key
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # A connection for each request: one that the server has just closed would look like the server's death.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(limits=limits, timeout=None, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, address: Address, path: str, timeout_s: float) -> Any:
        return await self._ask(address, "GET", path, None, None, timeout_s)

    async def post(
        self, address: Address, path: str, json: Any, timeout_s: float, params: dict[str, str] | None = None
    ) -> Any:
        """The reply's JSON, {} where it is empty.  A cancelled call closes its connection: vLLM aborts the request.

        Raises:
            Lost, Refused: see there.
        """
        return await self._ask(address, "POST", path, json, params, timeout_s)

    async def _ask(
        self, address: Address, method: str, path: str, json: Any, params: dict[str, str] | None, timeout_s: float
    ) -> Any:
        url = address.url + path
        headers = {"Authorization": f"Bearer {self._key.reveal()}", "Accept-Encoding": "identity"}
        content = None
        if json is not None:
            content = json_module.dumps(json, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        raw = bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._client.stream(
                    method,
                    url,
                    content=content,
                    params=params,
                    headers=headers,
                    timeout=httpx2.Timeout(None, connect=_CONNECT_S),
                ) as response,
            ):
                async for part in response.aiter_raw():
                    raw += part
                    if len(raw) > _MOST_BYTES:
                        raise Lost("a reply without end")
                status = response.status_code
        except TimeoutError:
            raise Lost(f"no reply in {timeout_s:g} s", timed_out=True) from None
        except httpx2.TransportError as error:
            raise Lost(self._key.scrub(str(error)) or type(error).__name__) from None
        if status >= 300:
            raise Refused(url, status, self._key.scrub(raw[:2000].decode(errors="replace")))
        try:
            return json_module.loads(raw) if raw else {}
        except ValueError:
            raise Lost(f"a reply that is no JSON, of {len(raw)} bytes") from None
