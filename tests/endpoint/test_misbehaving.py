"""The client against a real server that misbehaves: every piece of work ends, and every call is accounted for."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from endpoint.pieces import request
from endpoint.server import Drip, Garbage, Half, Hang, Reset, Server, Status, asked, completion

from fleming_nemo.endpoint import Budget, Endpoint, NoAnswer, Session

# What happens the first two times; then the reply comes.
PASSING = [
    Status(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
    Status(500, "internal error"),
    Status(503, "overloaded", {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}),
    Half(),
    Garbage(),
    Garbage(b'{"choices": [{"message": {"content": "cut of'),
    Garbage(b""),
    Garbage(b'{"choices": []}'),
    Garbage(b"\xff\xfe\x00"),
    Reset(),
    Status(200, {"error": {"code": 502, "message": "upstream"}}),
    Status(200, {"error": "overloaded"}),
    Status(200, "x", {"Content-Encoding": "gzip"}),
]
# What happens each time, and what becomes of it.
LASTING = {
    "filter": (Status(400, {"error": {"code": "content_filter", "message": "no"}}), "HTTP 400: content_filter no", 1),
    "too long": (Status(400, {"error": {"message": "maximum context length is 10 tokens"}}), "HTTP 400", 1),
    "refusal": (completion(None, refusal="I cannot help"), "refusal: I cannot help", 1),
    "cut by a filter": (completion("half a", finish="content_filter"), "content_filter", 1),
    "bad request": (Status(400, {"error": {"message": "temperature: no"}}), "HTTP 400", 1),
    "down": (Status(500, "down"), "HTTP 500", 4),
    "garbage": (Garbage(), "not a chat completion", 4),
    "half": (Half(), "connection lost", 4),
}


def test_every_piece_ends_and_every_call_is_counted(ask_all):
    """200 pieces of work, most of which meet failures; none of the failing sorts comes 8 times in a row."""
    lasting = list(LASTING)
    work = [f"{n} {lasting[n // 25]}" if n % 25 == 7 else str(n) for n in range(200)]

    def behave(body, nth):
        number, _, sort = asked(body).partition(" ")
        if sort:
            return LASTING[sort][0]
        return PASSING[int(number) % len(PASSING)] if nth <= 2 and int(number) % 3 else f"reply {number}"

    with Server(behave) as server:
        results, panel = ask_all(server, work, concurrency=8)
        for piece, result in zip(work, results, strict=True):
            number, _, sort = piece.partition(" ")
            expected = f"rejected: {LASTING[sort][1]}" if sort else f"reply {number}"
            assert result.startswith(expected), piece
        tally = panel.tally
        assert server.calls == tally.calls == len(work) + tally.retries
        assert len(server.begun) == len(work) and tally.cached == 0
        assert sum(tally.failures.values()) == 4
        retried = 2 * sum(n % 3 > 0 and n % 25 != 7 for n in range(200)) + sum(LASTING[k][2] - 1 for k in lasting)
        assert tally.retries == retried, tally
        # A second run asks only what got no answer.
        again, panel = ask_all(server, work, concurrency=8)
        assert again == results
        assert panel.tally.cached == 200 - 4 and panel.tally.calls == 1 + 4 + 4 + 4


def test_a_hanging_call_is_given_up_and_made_again(ask_all):
    with Server(lambda body, nth: Hang(1.5) if nth == 1 else "in time") as server:
        results, panel = ask_all(server, ["a"], timeout_s=0.3)
    assert results == ["in time"] and panel.tally.retries == 1
    assert panel.tally.lost_tokens >= 100, "the server may have charged for the first one"


def test_a_reply_drop_by_drop_is_no_way_around_the_timeout(ask_all):
    with Server(lambda body, nth: Drip(0.1)) as server:
        results, _ = ask_all(server, ["a"], timeout_s=0.4, attempts=2)
    assert results == ["rejected: timeout"]


def test_never_more_calls_at_a_time_than_asked_for_and_not_fewer(ask_all):
    together = threading.Barrier(4, timeout=30)

    def meet(body, nth):
        together.wait()
        time.sleep(0.01)
        return "met"

    with Server(meet) as server:
        results, _ = ask_all(server, range(40), concurrency=4)
    assert results == ["met"] * 40 and server.most_at_once == 4


def test_the_same_request_at_the_same_time_is_sent_once(ask_all):
    with Server(lambda body, nth: Hang(0.1, "same")) as server:
        results, panel = ask_all(server, ["a"] * 10, concurrency=4)
    assert results == ["same"] * 10
    assert server.calls == panel.tally.calls == 1 and panel.tally.cached == 9


def test_the_failure_of_a_shared_request_reaches_all_who_wait(ask_all):
    with Server(lambda body, nth: Hang(0.05, Status(500))) as server:
        results, panel = ask_all(server, ["a"] * 3, attempts=2)
    assert results == ["rejected: HTTP 500"] * 3 and panel.tally.calls == server.calls


def test_one_who_waits_for_a_request_takes_over_when_the_asker_gives_up(tmp_path):
    async def impatient(client, number):
        first = asyncio.create_task(client.ask(request("x")))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(client.ask(request("x")))
        await asyncio.sleep(0.05)
        first.cancel()
        return (await second).text

    with Server(lambda body, nth: Hang(0.3, "there")) as server:
        with Session(Endpoint(server.url, "tiny"), tmp_path, Budget()) as session:
            assert list(session.run([1], impatient)) == ["there"]
        assert server.calls == 2


def test_a_pause_that_the_server_asks_for_holds_for_all(ask_all):
    first = threading.Event()

    def behave(body, nth):
        if not first.is_set():
            first.set()
            return Status(429, "slow down", {"Retry-After": "2"})
        return "fine"

    with Server(behave) as server:
        results, _ = ask_all(server, range(12), concurrency=3)
    assert results == ["fine"] * 12
    told = server.times[0]
    # a busy machine takes its time to hear of it
    assert not [t for t in server.times if told + 1 < t < told + 1.9], "only calls that were out already came"
    assert server.times[-1] >= told + 1.9


def test_an_empty_text_is_an_answer_that_was_paid_for(ask_all):
    def behave(body, nth):
        return completion(None, finish="length", reasoning_content="hm") if asked(body) == "1" else completion("")

    with Server(behave) as server:
        assert ask_all(server, range(3))[0] == ["", "", ""]
        _, panel = ask_all(server, range(3))
    assert server.calls == 3 and panel.tally.cached == 3


def test_what_is_sent_is_what_was_asked(ask_all):
    messages = ({"role": "system", "content": "a\ud800b"}, {"role": "user", "content": "第一"})

    async def both(client, trial):
        reply = await client.ask(replace(request(""), messages=messages, temperature=0.3, max_tokens=7, trial=trial))
        return reply.text, reply.finish, reply.reasoning, reply.prompt_tokens, reply.completion_tokens, reply.cached

    behave = lambda body, nth: completion(f"给 {body['seed']} \ud800\n\u2028", "length", 11, 3, reasoning_content="想")  # noqa: E731
    with Server(behave) as server:
        for cached in (False, True):
            results, _ = ask_all(server, [0, 1], one=both)
            assert results == [(f"给 {n} \ud800\n\u2028", "length", "想", 11, 3, cached) for n in (0, 1)]
    body = server.bodies[0]
    assert body["messages"] == list(messages) and (body["model"], body["temperature"]) == ("tiny", 0.3)
    assert body["max_tokens"] == 7 and {b["seed"] for b in server.bodies} == {0, 1}


def test_results_keep_the_order_of_work_and_a_bounded_number_is_in_memory(ask_all):
    taken = 0

    def work():
        nonlocal taken
        for n in range(300):
            taken += 1
            yield n

    ahead = []

    async def slow_first(client, n):
        ahead.append(taken - n)
        return (await client.ask(request(n))).text

    with Server(lambda body, nth: Hang(0.2 if asked(body) == "0" else 0, asked(body))) as server:
        results, _ = ask_all(server, work(), one=slow_first, concurrency=4)
    assert results == [str(n) for n in range(300)]
    assert max(ahead) <= 16


def test_no_answer_says_how_often_and_why(ask_all):
    async def bare(client, n):
        return (await client.ask(request(n))).text

    why = "no answer in 3 attempts: HTTP 500: out of memory"
    with Server(lambda body, nth: Status(500, "out of memory")) as server, pytest.raises(NoAnswer, match=why):
        ask_all(server, ["a"], one=bare, attempts=3)
