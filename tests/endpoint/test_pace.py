"""Rate limits on a clock of the test's own, Retry-After in its forms, growing pauses."""

import asyncio
import time

import pytest
from endpoint.pieces import request
from endpoint.server import Server, Status, completion
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.pace import LONGEST_PAUSE_S, Bucket, growing_pause, retry_after


class Clock:
    def __init__(self, late=0.0):
        self.now, self.late = 100.0, late

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds + self.late


def starts(per_minute, units, late=0.0):
    clock = Clock(late)
    bucket = Bucket(per_minute, clock, clock.sleep)

    async def run():
        times = []
        for amount in units:
            await bucket.take(amount)
            times.append(clock.now)
        return times

    return asyncio.run(run())


@given(st.floats(1, 10_000), st.integers(1, 300))
def test_no_minute_holds_more_requests_than_allowed(per_minute, number):
    times = starts(per_minute, [1] * number)
    first = 0
    for index, now in enumerate(times):
        while times[first] <= now - 60 + 1e-6:
            first += 1
        assert index - first + 1 <= per_minute + 1
        assert index - first < per_minute


def test_the_rate_is_reached_although_timers_are_late():
    times = starts(600, [1] * 601, late=0.02)
    assert times[-1] - times[0] == pytest.approx(60, abs=0.1)


@given(st.floats(100, 1e6), st.lists(st.integers(1, 5000), min_size=1, max_size=100))
def test_no_minute_takes_more_tokens_than_allowed_and_one_request(per_minute, units):
    times = starts(per_minute, units)
    for first in range(len(units)):
        within = [u for t, u in zip(times, units, strict=True) if times[first] <= t < times[first] + 60 - 1e-6]
        assert sum(within) <= per_minute + max(units) + 1e-3


def test_unused_tokens_are_given_back():
    clock = Clock()
    bucket = Bucket(60, clock, clock.sleep)

    async def run():
        await bucket.take(600)
        bucket.give_back(590)
        await bucket.take(1)
        return clock.now - 100

    assert asyncio.run(run()) == pytest.approx(10, abs=1.1)


def test_the_server_sees_the_limits(ask_all):
    """1,200 requests a minute are one in 50 ms, whatever the concurrency; tokens likewise."""
    begun = time.monotonic()
    with Server(lambda body, nth: "fine") as server:
        ask_all(server, range(12), concurrency=12, requests_per_minute=1200)
    assert all(when - begun >= number * 0.05 for number, when in enumerate(sorted(server.times)))

    async def small(client, n):
        return (await client.ask(request(n, max_tokens=779))).text  # and 221 at most for a prompt of one letter

    used = completion("fine", prompt_tokens=221, completion_tokens=779)
    begun = time.monotonic()
    with Server(lambda body, nth: used) as server:
        ask_all(server, range(6), one=small, concurrency=6, tokens_per_minute=600_000)
    assert all(when - begun >= number * 0.1 for number, when in enumerate(sorted(server.times)))


def test_a_low_rate_does_not_hold_up_the_end(ask_all):
    """Requests that wait for their turn give up when the run stops."""
    begun = time.monotonic()
    with Server(lambda body, nth: Status(401, "no")) as server, pytest.raises(UserError, match="refuses the key"):
        ask_all(server, range(8), requests_per_minute=1)
    assert server.calls == 1 and time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("0.5", 0.5),
        ("-3", 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 9),
        ("Friday, 31-Dec-99 23:59:59 GMT", 9),
        ("Fri Dec 31 23:59:59 1999", 9),
        ("Fri, 31 Dec 1999 23:00:00 GMT", 0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("Fri, 99 Dec 1999 23:59:59 GMT", None),
    ],
)
def test_retry_after(header, seconds):
    assert retry_after(header, now=946684790.0) == seconds


@given(st.text(max_size=40))
def test_retry_after_of_anything(header):
    found = retry_after(header)
    assert found is None or found >= 0


def test_pauses_double_up_to_a_minute_and_spread():
    for failures in range(1, 12):
        whole = min(2.0 ** (failures - 1), LONGEST_PAUSE_S)
        pauses = {growing_pause(1.0, failures, str(seed)) for seed in range(50)}
        assert len(pauses) == 50 and all(whole / 2 <= pause <= whole for pause in pauses)
        assert growing_pause(1.0, failures, "7") in pauses, "the same seed gives the same pause"
