"""The key leaves the process in one header and nowhere else."""

import copy
import dataclasses
import json
import logging
import os
import pickle
import pprint
import subprocess
import sys
from pathlib import Path

import pytest
from endpoint.pieces import KEY, request
from endpoint.server import Server, Status, completion

import fleming_nemo
from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Budget, Endpoint, Key, NoAnswer, Session


def test_a_key_shows_nothing():
    key = Key(KEY)
    endpoint = Endpoint("http://h/v1", "m", key)
    shown = [repr(key), str(key), f"{key}", f"{key:>60}", f"{key!r}", ascii(key), str(dir(key))]
    shown += [repr(endpoint), pprint.pformat(endpoint), str(dataclasses.asdict(endpoint)), repr(vars(endpoint))]
    shown += [str(copy.copy(key)), str(copy.deepcopy(endpoint)), json.dumps(dataclasses.asdict(endpoint), default=str)]
    assert not [text for text in shown if KEY in text or KEY[:8] in text]
    assert key.reveal() == KEY and copy.deepcopy(endpoint).key.reveal() == KEY
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(endpoint, protocol)
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(endpoint))
    with pytest.raises(TypeError):
        vars(key)
    with pytest.raises(AttributeError):
        key._secret = "other"


def test_a_key_is_cut_out_of_what_servers_say():
    assert Key("a/b+c=0123").scrub("a/b+c=0123 and a%2Fb%2Bc%3D0123") == "[key] and [key]"
    assert Key("EMPTY").scrub_reply("The set is EMPTY.") == "The set is EMPTY.", "a placeholder is a word"
    assert Key("EMPTY").scrub("wrong key EMPTY") == "wrong key [key]"
    assert Key("").scrub("nothing") == "nothing"


@pytest.mark.parametrize("secret", ["pass phrase", "broken\nkey", "ключ-0123456789", "tab\tkey"])
def test_what_fits_no_header_is_refused_unseen(secret):
    with pytest.raises(UserError) as caught:
        Key(secret)
    assert secret[:3] not in str(caught.value)


def test_key_files(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o640)
    assert Key.from_file(path).reveal() == KEY
    for mode in (0o644, 0o602, 0o666):
        path.chmod(mode)
        with pytest.raises(UserError, match="every user can read or change this key; run `chmod 600"):
            Key.from_file(path)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(UserError, match="empty"):
        Key.from_file(path)
    path.write_bytes(b"\xff" + KEY.encode())
    with pytest.raises(UserError) as caught:
        Key.from_file(path)
    assert KEY not in str(caught.value) and caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises(UserError, match="cannot be read"):
        Key.from_file(tmp_path / "none")


@pytest.mark.parametrize(
    "url", ["http://user:pw@host/v1", "http://host/v1?key=pw", "https://pw@host/v1", "http://h/#pw"]
)
def test_no_secret_in_an_address(url):
    with pytest.raises(UserError, match="keys go into a variable or file") as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["host/v1", "file:///etc/passwd", "http://", "http://h:99999/v1", "http://[::1/v1", ""])
def test_addresses_that_are_none(url):
    with pytest.raises(UserError, match="expected http"):
        Endpoint(url, "m")


QUOTING = [
    Status(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
    Status(401, f"{KEY} " * 100),
    Status(403, KEY),
    Status(404, KEY),
    Status(500, KEY),
    Status(400, KEY),
    Status(400, f"content filter {KEY}"),
    Status(402, KEY),
    Status(302, KEY),
    Status(307, KEY),
    Status(200, {"error": {"message": KEY}}),
    Status(429, {"error": {"code": "insufficient_quota", "message": KEY}}, {"Retry-After": KEY}),
    completion(f"you said {KEY}", finish=KEY, reasoning_content=f"hm {KEY}"),
    completion(None, refusal=f"not for {KEY}"),
]


@pytest.mark.parametrize("act", QUOTING)
def test_the_key_is_in_no_output_and_no_file(tmp_path, caplog, capfd, act):
    """Whatever quotes it: the reply, its errors with all they were raised from, the cache, logs at their loudest."""
    caplog.set_level(logging.DEBUG)

    async def one(client, n):
        try:
            return await client.ask(request(n))
        except NoAnswer as failure:
            return failure

    seen = []
    with Server(lambda body, nth: "x") as other, Server(lambda body, nth: act) as server:
        if isinstance(act, Status) and act.code in (302, 307):
            act.headers["Location"] = f"{other.url}/chat/completions"
        endpoint = Endpoint(server.url, "tiny", Key(KEY), attempts=2, pause_s=0.01)
        try:
            with Session(endpoint, tmp_path, Budget()) as session:
                seen += session.run(range(3), one)
                seen.append(session.tally)
        except UserError as error:
            seen.append(error)
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        assert not other.headers, "no redirect is followed with the key"
    assert seen
    said = []
    while seen:
        thing = seen.pop()
        said.append(f"{thing} {thing!r}")
        if isinstance(thing, BaseException):
            seen += [e for e in (thing.__cause__, thing.__context__) if e is not None]
    captured = capfd.readouterr()
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode()
    everything = "".join(said) + captured.out + captured.err + caplog.text + files
    assert files and KEY not in everything
    assert KEY[:12] not in everything, "not even its beginning"


def test_a_traceback_with_debug_shows_no_key(tmp_path):
    """As a script run with --debug would print it, from the environment and with loud asyncio."""
    code = """
import asyncio, sys
from pathlib import Path
from fleming_nemo.endpoint import Budget, Endpoint, Key, Request, serve
async def one(client, n):
    return await client.ask(Request(({"role": "user", "content": str(n)},)))
endpoint = Endpoint(sys.argv[1], "tiny", Key.from_environment("TEST_KEY"))
print(list(serve(endpoint, Path(sys.argv[2]), Budget(), range(3), one)))
"""
    environment = {**os.environ, "TEST_KEY": KEY, "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    environment["PYTHONPATH"] = str(Path(fleming_nemo.__file__).parents[1])
    with Server(lambda body, nth: Status(401, f"bad key {KEY}")) as server:
        command = [sys.executable, "-c", code, server.url, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "refuses the key" in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_no_key_no_header(tmp_path):
    async def one(client, n):
        return (await client.ask(request(n))).text

    with Server(lambda body, nth: "x") as server, Session(Endpoint(server.url, "tiny"), tmp_path, Budget()) as session:
        assert list(session.run([1], one)) == ["x"]
    assert "Authorization" not in server.headers[0]
