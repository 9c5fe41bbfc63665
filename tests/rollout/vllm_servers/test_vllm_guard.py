"""The guard as an ASGI application, without vLLM: it lets nothing through that it does not know."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from fleming_nemo.rollout.vllm.address import make_key
from fleming_nemo.rollout.vllm.settings import WORKER_FOLDER

sys.path.insert(0, str(WORKER_FOLDER))
import fleming_guard  # noqa: E402  (as the engine's Python finds it)

KEY = "k" * 43


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fleming_guard.Guard:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    monkeypatch.setenv(fleming_guard.KEY_FILE, str(file))
    return fleming_guard.Guard(inner)


async def inner(scope, receive, send):
    """What stands behind: says what it got."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def ask(guard, method="GET", path="/health", key=KEY, parts=(b"",), headers=(), kind="http"):
    """Status and body of an answer; the messages sent for anything but HTTP."""
    given = [(b"authorization", f"Bearer {key}".encode())] if key is not None else []
    scope = {"type": kind, "method": method, "path": path, "headers": [*given, *headers]}
    messages = [{"type": "http.request", "body": p, "more_body": i + 1 < len(parts)} for i, p in enumerate(parts)]
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    if kind != "http":
        return sent
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def test_the_key_opens(guard):
    assert ask(guard) == (200, b"")
    assert ask(guard, "POST", "/v1/completions", parts=(b'{"a"', b": 1}")) == (200, b'{"a": 1}')


@pytest.mark.parametrize("key", [None, "", KEY[:-1], KEY + "k", KEY.upper(), "wrong"])
@pytest.mark.parametrize("path", ["/health", "/v1/completions", "/collective_rpc", "/metrics", "/anything", "//health"])
def test_without_the_key_nothing_is_told(guard, key, path):
    """The same answer on every route, also on those that are not there."""
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        status, said = ask(guard, method, path, key)
        assert status == 401 and KEY.encode() not in said


def test_a_key_given_twice_is_no_key(guard):
    assert ask(guard, headers=[(b"authorization", b"Bearer other")])[0] == 401


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/server_info"),
        ("POST", "/invocations"),
        ("POST", "/health"), ("GET", "/v1/completions"), ("POST", "/v1/completions/"), ("POST", "//v1/completions"),
        ("POST", "/v1/load_lora_adapter"), ("POST", "/weight_checker"), ("DELETE", "/v1/models"),
        ("POST", "/is_paused"),
    ],
)  # fmt: skip
def test_only_listed_routes_exist(guard, method, path):
    assert ask(guard, method, path)[0] == 404


def call(**body):
    return {"method": "POST", "path": "/collective_rpc", "parts": (json.dumps(body).encode(),)}


@pytest.mark.parametrize(
    "method", ["reload_weights", "load_model", "__init__", "xfleming_update", "", None, ["fleming_"]]
)
def test_workers_run_our_methods_alone(guard, method):
    assert ask(guard, **call(method=method))[0] == 403
    assert ask(guard, "POST", "/collective_rpc", parts=(b"{",))[0] == 403
    assert ask(guard, "POST", "/collective_rpc", parts=(b'{"method": "fleming_x", "method": "exec"}',))[0] == 403
    assert ask(guard, **call(method="fleming_update"))[0] == 200


def test_bodies_are_bounded_whatever_their_header_says(guard, monkeypatch):
    monkeypatch.setattr(fleming_guard, "MOST_BYTES", 100)
    big = {"method": "POST", "path": "/v1/completions"}
    assert ask(guard, **big, parts=(b"x" * 60, b"x" * 60))[0] == 413
    assert ask(guard, **big, headers=[(b"content-length", b"101")])[0] == 413
    assert ask(guard, **big, headers=[(b"content-length", b"-1")])[0] == 413
    assert ask(guard, **big, parts=(b"x" * 50, b"x" * 50))[0] == 200


def test_websockets_are_closed_before_they_open(guard):
    assert ask(guard, kind="websocket") == [{"type": "websocket.close", "code": 1008}]


def test_the_client_s_leaving_reaches_the_engine(guard):
    """It is how vLLM learns that a request is to be aborted."""
    heard = []

    async def waits(scope, receive, send):
        heard.extend([await receive(), await receive()])

    guard.app = waits
    asyncio.run(_leave(guard))
    assert [m["type"] for m in heard] == ["http.request", "http.disconnect"]


async def _leave(guard):
    messages = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/completions",
        "headers": [(b"authorization", b"Bearer " + KEY.encode())],
    }
    await guard(scope, receive, None)


def test_it_does_not_start_unsafely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(fleming_guard.KEY_FILE, raising=False)
    with pytest.raises(RuntimeError, match="not set"):
        fleming_guard.Guard(inner)
    file = tmp_path / "key"
    monkeypatch.setenv(fleming_guard.KEY_FILE, str(file))
    file.write_text(KEY)
    file.chmod(0o640)
    with pytest.raises(RuntimeError, match="chmod 600"):
        fleming_guard.Guard(inner)
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(RuntimeError, match="at least 32"):
        fleming_guard.Guard(inner)
    file.write_text(KEY)
    monkeypatch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
    with pytest.raises(RuntimeError, match="pickles"):
        fleming_guard.Guard(inner)


def test_keys_are_long_and_for_their_owner_alone(tmp_path: Path):
    key = make_key(tmp_path / "sub" / "key")
    assert (tmp_path / "sub" / "key").stat().st_mode & 0o777 == 0o600
    assert len(key.reveal()) >= 43 and key.reveal() not in f"{key!r} {key}"
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "sub" / "key")


def test_what_vllm_loads_imports_nothing_of_this_package():
    for file in WORKER_FOLDER.rglob("*.py"):
        assert "fleming_nemo" not in file.read_text(), file
