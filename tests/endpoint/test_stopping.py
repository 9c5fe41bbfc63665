"""What ends a run: it says why, no call that was paid for is lost, and the same work goes on afterwards."""

from collections import Counter

import pytest
from endpoint.pieces import one, request
from endpoint.server import Hang, Server, Status, asked

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Budget, Endpoint, Session
from fleming_nemo.endpoint.client import GIVE_UP


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Status(401, {"error": {"message": "bad key"}}), "refuses the key .*bad key.*check --key-env"),
        (Status(403, "forbidden"), "refuses the key"),
        (Status(404, {"message": "model tiny does not exist"}), "no such model or path .*does not exist"),
        (Status(402, "pay"), "account is used up"),
        (Status(429, {"error": {"code": "insufficient_quota", "message": "x"}}), "account is used up"),
        (Status(302, "", {"Location": "http://127.0.0.1:9/"}), "redirects"),
        (Status(503, "later", {"Retry-After": "7200"}), "come back in 7200 s"),
    ],
)
def test_what_concerns_all_requests_stops_the_run_and_keeps_what_is_under_way(ask_all, act, message):
    """The third request is refused while others are under way: their replies are in the cache afterwards."""

    def behave(body, nth):
        return act if asked(body) == "3" else Hang(0.2 if int(asked(body)) < 6 else 0, "fine")

    with Server(behave) as server:
        with pytest.raises(UserError, match=message):
            ask_all(server, range(100), concurrency=6)
        begun = server.calls
        assert begun <= 12 and server.begun.most_common(1)[0][1] == 1
        server.behave = lambda body, nth: "fine"
        results, panel = ask_all(server, range(100), concurrency=6)
        assert results == ["fine"] * 100
        assert panel.tally.calls == 101 - begun, "all but the refused one were kept"


def test_an_endpoint_that_goes_away_stops_the_run(ask_all):
    with Server(lambda body, nth: "fine" if int(asked(body)) < 20 else Status(500, "down")) as server:
        with pytest.raises(UserError, match="8 requests in a row without an answer.*HTTP 500: down.*same command"):
            ask_all(server, range(100), attempts=2, concurrency=1)
        assert server.calls == 20 + 2 * GIVE_UP
        server.behave = lambda body, nth: "fine"
        _, panel = ask_all(server, range(100))
        assert panel.tally.cached == 20


def test_nobody_listening(ask_all):
    with Server(lambda body, nth: "") as server:
        url = server.url
    with pytest.raises(UserError, match="no answer in 2 attempts: not reachable.*check --endpoint and the server"):
        ask_all(url, range(5), attempts=2)


def test_a_caller_that_stops_reading_loses_no_call(tmp_path):
    with Server(lambda body, nth: Hang(0.1, "fine")) as server:
        endpoint = Endpoint(server.url, "tiny", concurrency=4)
        with Session(endpoint, tmp_path, Budget()) as session:
            for _ in session.run(range(100), one):
                break
        begun = Counter(server.begun)
        with Session(endpoint, tmp_path, Budget()) as session:
            assert len(session.cache) == sum(begun.values())


def test_an_error_in_the_work_comes_through(ask_all):
    async def broken(client, n):
        await client.ask(request(n))
        raise KeyError(n)

    with Server(lambda body, nth: "fine") as server, pytest.raises(KeyError):
        ask_all(server, range(10), one=broken)


def test_a_proxy_that_is_none_is_told_without_its_password(ask_all, monkeypatch, tmp_path):
    monkeypatch.setenv("ALL_PROXY", "gopher://user:pass@proxy")
    with pytest.raises(UserError, match="no HTTP from here .*check HTTP_PROXY") as caught:
        ask_all("http://h/v1", range(3))
    assert "pass" not in str(caught.value)
    monkeypatch.delenv("ALL_PROXY")
    with Server(lambda body, nth: "fine") as server:
        assert ask_all(server, range(3))[0] == ["fine"] * 3, "the cache was closed"
