"""The ceilings hold on what the server counts, calls under way included, and over several runs."""

import pytest
from endpoint.pieces import request
from endpoint.server import Hang, Reset, Server, Status, asked, completion
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Budget, Endpoint, Request
from fleming_nemo.endpoint.account import bound

# Of `request(n)` with two digits: "user" and them, 16 + 200 for the template, 100 for the answer.
MOST = 4 + 2 + 16 + 200 + 100


@pytest.mark.parametrize("concurrency", [1, 8])
def test_tokens_stop_before_they_break_the_ceiling(ask_all, concurrency):
    """Each call really takes 150, far less than its most, and yet the ceiling is used but for one call's most."""
    used = completion("fine", prompt_tokens=60, completion_tokens=90)
    with Server(lambda body, nth: Hang(0.01, used)) as server:
        with pytest.raises(UserError, match=r"of 5000 tokens are used and the next call may take 3\d\d.*higher budget"):
            ask_all(server, range(100), Budget(tokens=5000), concurrency=concurrency)
        assert 5000 - MOST <= 150 * server.calls <= 5000
        calls = server.calls
        with pytest.raises(UserError, match="of 5000 tokens are used"):
            ask_all(server, range(100), Budget(tokens=5000))
        assert server.calls == calls, "a second start does not double the budget"
        results, panel = ask_all(server, range(100), Budget(tokens=20_000))
        assert results == ["fine"] * 100 and server.calls == 100 and panel.tally.cached == calls


def test_a_server_that_takes_the_most_each_time(ask_all):
    """Eight at a time, and still never above: what is under way counts at its most."""

    def greedy(body, nth):
        most = bound(Endpoint("http://h/v1", "tiny"), request(asked(body)))
        return Hang(0.02, completion("x", prompt_tokens=most.prompt_tokens, completion_tokens=body["max_tokens"]))

    with Server(greedy) as server, pytest.raises(UserError, match="tokens are used"):
        ask_all(server, range(100), Budget(tokens=3000), concurrency=8)
    assert server.calls == 9


def test_money(ask_all):
    """15 a million in, 60 out: 60 and 90 tokens cost 0.0063, the most of a call 0.0093."""
    used = completion("fine", prompt_tokens=60, completion_tokens=90)
    prices = {"price_in": 15.0, "price_out": 60.0}
    with Server(lambda body, nth: used) as server:
        with pytest.raises(UserError, match=r"of 0.1 are spent and the next call may cost 0.009"):
            ask_all(server, range(100), Budget(money=0.1), **prices)
        assert 0.1 - 0.0093 <= 0.0063 * server.calls <= 0.1
        with pytest.raises(UserError, match="are spent"):
            ask_all(server, range(100), Budget(money=0.1), **prices)
        _, panel = ask_all(server, range(100), Budget(money=1.0), **prices)
    assert panel.tally.cost == pytest.approx(0.0063 * panel.tally.calls)
    assert f"cost {panel.tally.cost:.4f}" in panel.summary()


def test_a_call_larger_than_the_budget_is_never_made(ask_all):
    with Server(lambda body, nth: "x") as server, pytest.raises(UserError, match="0 of 300 tokens are used"):
        ask_all(server, range(3), Budget(tokens=300))
    assert server.calls == 0


def test_replies_that_break_off_count_at_their_most_and_refused_calls_do_not(ask_all):
    acts = {"0": Reset(), "1": Status(500, "x"), "2": Status(429, "x")}
    with Server(lambda body, nth: acts[asked(body)] if nth == 1 else "fine") as server:
        _, panel = ask_all(server, range(3), Budget(tokens=10_000))
        assert panel.tally.retries == 3 and panel.tally.lost_tokens == MOST - 1
        with pytest.raises(UserError, match=f"^{MOST - 1 + 45} of 400 tokens are used"):
            ask_all(server, ["new"], Budget(tokens=400))


def test_a_server_without_usage_counts_by_bytes(ask_all):
    async def tokens(client, n):
        reply = await client.ask(request(n))
        return reply.prompt_tokens, reply.completion_tokens

    reply = {"choices": [{"message": {"content": "第一"}, "finish_reason": "stop"}]}
    with Server(lambda body, nth: {**reply, "usage": {"prompt_tokens": "many", "completion_tokens": -1}}) as server:
        assert ask_all(server, ["第"], one=tokens)[0] == [(4 + 3 + 16 + 200, 6)]


@given(st.lists(st.text(max_size=50), min_size=1, max_size=4))
def test_no_prompt_has_more_tokens_than_bytes(texts):
    messages = tuple({"role": "user", "content": text} for text in texts)
    most = bound(Endpoint("http://h/v1", "m", price_in=1.0), Request(messages))
    assert most.prompt_tokens >= sum(len(t.encode()) for t in texts) + 16 * len(texts)
    assert most.cost == pytest.approx(most.prompt_tokens / 1e6)
