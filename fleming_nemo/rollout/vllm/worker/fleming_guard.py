"""What stands before every route of a vLLM server: the run's key, a list of routes, a bound on sizes.

vLLM's own --api-key guards /v1 alone, and the development routes that weight transfers need come together with others
that run any method of a worker.  As ASGI middleware (asgi.readthedocs.io, spec 3.0) this sees a request before any of
vLLM's code does, whatever router, mount or plugin it would end at.  Plain ASGI: it imports the standard library only.
"""

import hmac
import json
import os
import stat
from collections.abc import Awaitable, Callable
from typing import Any

KEY_FILE = "FLEMING_VLLM_KEY_FILE"
"""Environment variable that names the file with the key; never the key itself, which /proc would show."""
MOST_BYTES = 16 << 20
"""Largest body: a prompt of 100,000 tokens, or the names and shapes of a large model, are below 2 MiB."""

READ = frozenset({"/health", "/v1/models", "/is_paused", "/is_sleeping", "/weight_info", "/get_world_size"})
WRITE = frozenset(
    {
        "/v1/completions",
        "/abort_requests",
        "/pause",
        "/resume",
        "/init_weight_transfer_engine",
        "/shutdown_weight_transfer_engine",
        "/start_weight_update",
        "/update_weights",
        "/update_weight_version",
        "/finish_weight_update",
        "/reset_prefix_cache",
        "/sleep",
        "/wake_up",
    }
)
CALL = "/collective_rpc"
"""Runs a method of the workers by its name; only ours may be called, whose names begin with this:"""
OURS = "fleming_"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware for `--middleware fleming_guard.Guard`.

    Raises RuntimeError at start, which ends the server, without a key that its owner alone can read, or where vLLM is
    told to accept pickles.
    """

    def __init__(self, app: App) -> None:
        if os.environ.get("VLLM_ALLOW_INSECURE_SERIALIZATION", "0") not in ("", "0"):
            raise RuntimeError("VLLM_ALLOW_INSECURE_SERIALIZATION lets requests carry pickles; unset it")
        self.app = app
        self._expected = b"Bearer " + _key()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            # before it is accepted, which the server says as 403
            await send({"type": "websocket.close", "code": 1008})
        elif not self._authorised(scope):
            await _refuse(send, 401, "the key of the run is missing or wrong")
        elif not _allowed(scope):
            await _refuse(send, 404, "this server has no such route")
        else:
            await self._pass_on(scope, receive, send)

    def _authorised(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(scope, receive)
        if body is None:
            await _refuse(send, 413, f"at most {MOST_BYTES} bytes")
            return
        if scope["path"] == CALL and not _ours(body):
            await _refuse(send, 403, f"only methods whose names begin with {OURS} may be called")
            return
        told = False

        async def replay() -> dict[str, Any]:
            nonlocal told
            if told:
                return await receive()  # the client's leaving, which ends the request in the engine
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def _key() -> bytes:
    name = os.environ.get(KEY_FILE)
    if not name:
        raise RuntimeError(f"{KEY_FILE} is not set; without a key this server would be open to everyone")
    with open(name, "rb") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RuntimeError(f"{name} can be read by others; chmod 600 it")
        key = file.read(10_000).strip()
    if len(key) < 32:
        raise RuntimeError(f"{name} holds {len(key)} characters; a key has at least 32")
    return key


def _allowed(scope: Scope) -> bool:
    path = scope["path"]
    return (scope["method"] == "GET" and path in READ) or (
        scope["method"] == "POST" and (path in WRITE or path == CALL)
    )


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than allowed, of which no more is read then."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and (not value.isdigit() or int(value) > MOST_BYTES):
            return None
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has left in the middle: an empty body passes nothing on
            return b""
        parts += message.get("body", b"")
        if len(parts) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(parts)


def _ours(body: bytes) -> bool:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return False
    method = tree.get("method") if isinstance(tree, dict) else None
    return isinstance(method, str) and method.startswith(OURS)


async def _refuse(send: Send, status: int, said: str) -> None:
    body = json.dumps({"error": said}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (401, 413):
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
