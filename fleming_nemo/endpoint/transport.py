"""One call over HTTP, from connecting to the last byte."""

from __future__ import annotations

import asyncio
import logging

import httpx2

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.account import Bound
from fleming_nemo.endpoint.exchange import Reply
from fleming_nemo.endpoint.spec import Endpoint
from fleming_nemo.endpoint.wire import Passing, read_response

_MOST_BYTES = 64 << 20
# Servers close idle connections, some after 5 s; a call on one that is just being closed fails for nothing.
_IDLE_S = 2.0


class Transport:
    """A pool of connections to one endpoint. Raises UserError when the environment's proxy settings cannot be used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # What these log when asked for details holds the headers of responses, and servers quote keys.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        pool = httpx2.Limits(max_connections=endpoint.concurrency, keepalive_expiry=_IDLE_S)
        try:
            self._http = httpx2.AsyncClient(limits=pool, timeout=endpoint.timeout_s, follow_redirects=False)
        except (ValueError, ImportError, OSError) as error:  # what the environment says of proxies and certificates
            kind = type(error).__name__  # and no more, as addresses of proxies may hold passwords
            raise UserError(f"no HTTP from here ({kind}); check HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE.") from None

    async def close(self) -> None:
        await self._http.aclose()

    async def post(self, content: bytes, most: Bound) -> Reply:
        """The reply to a body; raises as `read_response` does, and Passing for all that happens on the way."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key.reveal()}"
        raw = bytearray()
        try:
            async with (
                asyncio.timeout(self._endpoint.timeout_s),
                self._http.stream("POST", self._endpoint.url, content=content, headers=headers) as response,
            ):
                async for part in response.aiter_bytes():
                    raw += part
                    if len(raw) > _MOST_BYTES:
                        raise Passing("a reply without end", charged=True)
                wait = response.headers.get("Retry-After")
                return read_response(self._endpoint, response.status_code, wait, bytes(raw), most)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout):
            raise Passing("timeout", f"no reply in {self._endpoint.timeout_s:g} s", charged=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise Passing("not reachable", self._endpoint.key.scrub(str(error))) from None
        except httpx2.InvalidURL as error:
            raise UserError(f"{self._endpoint.url}: no URL ({error}); check --endpoint.") from None
        except httpx2.DecodingError:
            raise Passing("not a chat completion", "broken compression", charged=True) from None
        except httpx2.TransportError as error:
            said = self._endpoint.key.scrub(str(error)) or type(error).__name__
            raise Passing("connection lost", said, charged=True) from None
