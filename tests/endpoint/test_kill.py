"""kill -9 at any moment repeats no finished call."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from endpoint.server import Hang, Server, asked

import fleming_nemo
from fleming_nemo.endpoint.cache import Cache

PIECES, ROUNDS, SLOTS = 50, 3, 4
# Each piece asks three times, each question holding the answer before it, as a refinement does.
CHILD = f"""
import json, sys
from pathlib import Path
from fleming_nemo.endpoint import Budget, Endpoint, Key, Panel, Request, serve

async def one(client, number):
    said = str(number)
    for _ in range({ROUNDS}):
        said = (await client.ask(Request(({{"role": "user", "content": said}},), max_tokens=100))).text
    return said

panel = Panel()
endpoint = Endpoint(sys.argv[1], "tiny", Key("sk-0123456789"), concurrency={SLOTS})
results = list(serve(endpoint, Path(sys.argv[2]), Budget(), range({PIECES}), one, panel))
print(json.dumps([results, panel.tally.calls, panel.tally.cached]))
"""


def digest(name):
    """Of a request as the server knows it: the cache knows it by the bytes on the wire."""
    return hashlib.sha256(json.dumps(json.loads(name), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def start(server, folder, **streams):
    environment = {**os.environ, "PYTHONPATH": str(Path(fleming_nemo.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", CHILD, server.url, str(folder)], env=environment, **streams)


def test_ctrl_c_ends_at_once(tmp_path):
    with Server(lambda body, nth: Hang(30 if "+" in asked(body) else 0, asked(body) + "+")) as server:
        child = start(server, tmp_path, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while server.at_once < SLOTS and time.monotonic() < deadline:
            time.sleep(0.01)
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
        assert time.monotonic() - begun < 20 and b"KeyboardInterrupt" in said
        with Cache(tmp_path) as cache:
            assert not cache.num_damaged


def test_kills_at_random_moments(tmp_path):
    chance = random.Random(5)
    kept, names, repeats = set(), {}, 0
    with Server(lambda body, nth: Hang(chance.uniform(0.002, 0.03), asked(body) + "+")) as server:
        for _ in range(5):
            child = start(server, tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wanted = server.calls + chance.randint(1, 25)
            deadline = time.monotonic() + 60
            while server.calls < wanted and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(0.1)  # what was in the sockets arrives
            before, names = names, dict(server.begun)
            with Cache(tmp_path) as cache:
                found = {name for name in names if cache.get(digest(name))}
                assert len(cache) == len(found), "the cache holds nothing that was not asked"
                assert cache.num_damaged == 0
            assert kept <= found, "what was kept stays"
            assert all(names[name] == before[name] for name in kept), "and is not asked again"
            lost = [name for name in names if names[name] > before.get(name, 0) and name not in found]
            assert len(lost) <= SLOTS, "only calls under way at the kill are without a reply"
            repeats += len(lost)
            kept = found
        assert server.calls < PIECES * ROUNDS, "the kills came in the middle"
        said = start(server, tmp_path, stdout=subprocess.PIPE).communicate(timeout=120)[0]
        results, num_calls, num_cached = json.loads(said)
        assert results == [f"{n}{'+' * ROUNDS}" for n in range(PIECES)]
        assert num_cached == len(kept) and num_calls + num_cached == PIECES * ROUNDS
        assert all(server.begun[name] == names[name] for name in kept), "no finished call was repeated"
        assert len(server.begun) == PIECES * ROUNDS
        assert server.calls == PIECES * ROUNDS + repeats
    assert not [path for path in tmp_path.rglob("*") if b"sk-0123456789" in path.read_bytes()]
