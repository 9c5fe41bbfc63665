"""Replies on disk: whole or not there, found again, one writer, damage told, disk full survived."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from endpoint.server import Server
from hypothesis import given
from hypothesis import strategies as st

import fleming_nemo
from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Reply
from fleming_nemo.endpoint.cache import FILE, Cache
from fleming_nemo.endpoint.places import Places

TEXTS = st.text(st.characters(codec=None), max_size=30)
REPLIES = st.builds(
    Reply, st.none() | TEXTS, TEXTS, st.none() | TEXTS, st.integers(0, 10**12), st.integers(0, 10**12), st.just(True)
)


def digest(n):
    return hashlib.sha256(str(n).encode()).hexdigest()


def fill(folder, number):
    with Cache(folder) as cache:
        for n in range(number):
            cache.add(digest(n), Reply(f"text {n}", prompt_tokens=n, completion_tokens=1), 0.5)


@given(st.lists(REPLIES, max_size=5))
def test_what_goes_in_comes_out(tmp_path_factory, replies):
    folder = tmp_path_factory.mktemp("cache")
    with Cache(folder) as cache:
        for n, reply in enumerate(replies):
            assert cache.get(digest(n)) is None
            cache.add(digest(n), reply, 0.25)
            assert cache.get(digest(n)) == reply
    with Cache(folder) as cache:
        assert [cache.get(digest(n)) for n in range(len(replies))] == replies
        assert cache.tokens == sum(r.prompt_tokens + r.completion_tokens for r in replies)
        assert (cache.cost, len(cache), cache.num_damaged) == (0.25 * len(replies), len(replies), 0)


def test_torn_at_any_byte(tmp_path):
    """Whatever a kill leaves of the last write: whole lines stay, the rest goes, and writing goes on."""
    fill(tmp_path, 2)
    whole = (tmp_path / FILE).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole)):
        (tmp_path / FILE).write_bytes(whole[:cut])
        with Cache(tmp_path) as cache:
            left = max(0, sum(end <= cut for end in ends) - 1)
            assert len(cache) == left and cache.num_damaged == 0
            cache.add(digest("new"), Reply("new"), 0.0)
        with Cache(tmp_path) as cache:
            assert cache.get(digest("new")).text == "new" and len(cache) == left + 1


def test_any_flipped_bit_is_told_and_hits_one_reply(tmp_path):
    fill(tmp_path, 3)
    whole = (tmp_path / FILE).read_bytes()
    second = [i + 1 for i, byte in enumerate(whole) if byte == 10][1:3]
    for place in range(second[0], second[1] - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / FILE).write_bytes(damaged)
        with Cache(tmp_path) as cache:
            assert cache.num_damaged >= 1
            assert [cache.get(digest(n)) is None for n in range(3)] == [False, True, False]


def test_damage_after_the_start_is_found_when_the_reply_is_read(tmp_path):
    fill(tmp_path, 2)
    with Cache(tmp_path) as cache:
        raw = (tmp_path / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(raw.replace(b"text 1", b"text 7"))
        assert cache.get(digest(0)).text == "text 0" and cache.num_damaged == 0
        assert cache.get(digest(1)) is None and cache.num_damaged == 1


def test_damage_is_shown_and_asked_again(ask_all, tmp_path):
    with Server(lambda body, nth: "fine") as server:
        ask_all(server, range(3), folder=tmp_path)
        log = tmp_path / FILE
        log.write_bytes(log.read_bytes().replace(b"fine", b"mine", 1))
        results, panel = ask_all(server, range(3), folder=tmp_path)
    assert results == ["fine"] * 3 and server.calls == 4
    assert "1 calls, 2 cached, 1 damaged in the cache" in panel.summary()


def test_lost_tokens_count_and_are_no_reply(tmp_path):
    with Cache(tmp_path) as cache:
        cache.add_lost(10, 20, 0.5)
    with Cache(tmp_path) as cache:
        assert (len(cache), cache.tokens, cache.cost) == (0, 30, 0.5)


def test_a_strange_file_is_not_written_to(tmp_path):
    (tmp_path / FILE).write_text("my diary\n")
    with pytest.raises(UserError, match="not a file of replies"), Cache(tmp_path):
        pass
    assert (tmp_path / FILE).read_text() == "my diary\n"


def test_one_writer(tmp_path):
    """Also across processes, and free again when the holder is gone."""
    code = "import sys; from pathlib import Path; from fleming_nemo.endpoint.cache import Cache\n"
    code += "with Cache(Path(sys.argv[1])) as c: print('open', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": str(Path(fleming_nemo.__file__).parents[1])}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=pipe, stdout=pipe, env=environment) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match="another run is writing"), Cache(tmp_path):
            pass
        other.kill()
        other.wait()
        with Cache(tmp_path), pytest.raises(UserError, match="another run"), Cache(tmp_path):
            pass


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """The limit on file sizes makes the kernel write half a line, as a full disk does."""
    fill(tmp_path, 2)
    size = (tmp_path / FILE).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Cache(tmp_path) as cache:
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
        try:
            for text in ("x" * 100, "y" * 100):  # the second meets the very end
                with pytest.raises(UserError, match="make room and start the same command again"):
                    cache.add(digest("big"), Reply(text), 0.0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert (tmp_path / FILE).stat().st_size == size
        cache.add(digest("small"), Reply("z"), 0.0)
    with Cache(tmp_path) as cache:
        assert cache.get(digest("small")).text == "z" and len(cache) == 3 and not cache.num_damaged


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"), Cache(tmp_path / "file"):
        pass


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1)), max_size=3000))
def test_places_against_a_dictionary(pairs):
    """Digests that share their first 8 bytes (the small numbers) are all found."""
    places, known = Places(), {}
    for offset, (common, rare) in enumerate(pairs, 1):
        key = f"{rare if rare % 2 else common:016x}{offset:048x}"
        places.add(key, offset)
        known.setdefault(key[:16], []).append(offset)
    assert len(places) == len(pairs)
    for prefix, offsets in known.items():
        assert sorted(places.find(prefix + "f" * 48)) == offsets
    assert sorted(places.find("f" * 15 + "e" + "0" * 48)) == known.get("f" * 15 + "e", [])


def test_memory_is_that_of_the_places_not_of_the_texts():
    places = Places()
    for n in range(100_000):
        places.add(digest(n), n + 1)
    held = sum(a.itemsize * len(a) for a in (places._keys, places._offsets))
    assert held <= 60 * 100_000 and all(n + 1 in places.find(digest(n)) for n in range(0, 100_000, 997))
