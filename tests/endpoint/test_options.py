"""The command line of scripts, the form of plans, the preview and the panel."""

import argparse
import io

import pytest
from endpoint.pieces import KEY, one, request
from endpoint.server import Server, Status, asked

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Budget, Endpoint, EndpointForm, NoAnswer, Panel, options, preview, serve

LEAST = ["--endpoint", "http://h/v1", "--model", "m"]


def parse(*words):
    parser = argparse.ArgumentParser()
    options.add(parser)
    return options.read(parser.parse_args([*map(str, words)]))


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_least_and_the_most(tmp_path, monkeypatch):
    endpoint, budget = parse(*LEAST)
    assert (endpoint, budget) == (Endpoint("http://h/v1", "m", endpoint.key), Budget()) and not endpoint.key
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    words = "--concurrency 3 --timeout 9 --requests-per-minute 60 --tokens-per-minute 1e6 --budget-tokens 100"
    words += f" --budget-money 2.5 --price-in 1 --price-out 4 --key-file {tmp_path / 'key'}"
    endpoint, budget = parse(*LEAST, *words.split())
    assert endpoint.key.reveal() == KEY and budget == Budget(100, 2.5)
    assert (endpoint.concurrency, endpoint.timeout_s, endpoint.requests_per_minute) == (3, 9, 60)
    assert (endpoint.tokens_per_minute, endpoint.price_in, endpoint.price_out) == (1e6, 1, 4)
    monkeypatch.setenv("MY_KEY", KEY)
    assert parse(*LEAST, "--key-env", "MY_KEY")[0].key.reveal() == KEY
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert parse(*LEAST)[0].key.reveal() == KEY


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m"], "give --endpoint URL and --model NAME"),
        (["--endpoint", "http://h/v1"], "give --endpoint URL and --model NAME"),
        ([*LEAST, "--key-env", "NOT_SET"], "NOT_SET is not set"),
        ([*LEAST, "--key-file", "/no/such"], "cannot be read"),
        ([*LEAST, "--concurrency", "0"], "concurrency 0: expected a whole number"),
        ([*LEAST, "--timeout", "nan"], "timeout_s nan: expected a positive"),
        ([*LEAST, "--requests-per-minute", "0"], "requests_per_minute 0.0: expected a positive"),
        ([*LEAST, "--budget-tokens", "-1"], "budget in tokens -1: expected 0 or a positive"),
        ([*LEAST, "--budget-money", "5"], "needs prices; give --price-in"),
        ([*LEAST, "--price-in", "-1"], "price_in -1.0: expected 0 or a positive"),
    ],
)
def test_bad_options(words, message):
    with pytest.raises(UserError, match=message):
        parse(*words)


def test_two_places_for_the_key_are_one_too_many(capsys):
    with pytest.raises(SystemExit):
        parse(*LEAST, "--key-env", "A", "--key-file", "b")
    assert "not allowed with" in capsys.readouterr().err


def test_a_plan_is_told_of_bad_values_when_it_is_read():
    for field, value in (("concurrency", "8"), ("attempts", 1.5), ("budget_tokens", "many"), ("price_in", True)):
        with pytest.raises(UserError, match="expected"):
            EndpointForm("http://h/v1", "m", **{field: value})
    form = EndpointForm("http://h/v1", "m", price_in=1.0, budget_money=2.0, attempts=9)
    assert form.endpoint().attempts == 9 and form.budget() == Budget(None, 2.0)


def test_the_preview_shows_what_is_asked_and_said_and_is_not_paid_for_twice(tmp_path):
    async def twice(client, n):
        first = await client.ask(request(n))
        second = await client.ask(request(f"{n} again", trial=1))
        return first.text == second.text

    def behave(body, nth):
        if asked(body) == "2":
            return Status(400, "content filter")
        return Status(500, "down") if asked(body).startswith("3") else f"said to {asked(body)}"

    with Server(behave) as server:
        endpoint = Endpoint(server.url, "tiny", attempts=1)
        texts = list(preview(endpoint, tmp_path, Budget(), iter(range(100)), twice, 4))
        assert len(texts) == 4 and texts[0] == (
            "=== piece 1\n"
            "--- request (temperature 1, at most 100 tokens, trial 0)\n[user] 0\n"
            "--- reply (stop, 10 + 5 tokens, from the server)\nsaid to 0\n"
            "--- request (temperature 1, at most 100 tokens, trial 1)\n[user] 0 again\n"
            "--- reply (stop, 10 + 5 tokens, from the server)\nsaid to 0 again\n"
            "--- outcome\nFalse\n"
        )
        assert "(refused)" in texts[2] and "HTTP 400: content filter" in texts[2]
        assert texts[3].endswith("--- no answer: no answer in 1 attempts: HTTP 500: down\n")
        calls = server.calls
        assert list(serve(endpoint, tmp_path, Budget(), range(3), twice)) == [False] * 3 and server.calls == calls


def test_the_panel_is_quiet_in_a_log_and_has_a_last_line(tmp_path, capfd):
    with (
        Server(lambda body, nth: Status(500) if int(asked(body)) % 5 == 0 else "fine") as server,
        Panel("cot") as panel,
    ):
        endpoint = Endpoint(server.url, "tiny", attempts=2, pause_s=0.01, price_in=10.0, price_out=100.0)
        for result in serve(endpoint, tmp_path, Budget(), [*range(10), 1], one, panel):
            if result == "fine":
                panel.accepted()
            else:
                panel.rejected(result)
    assert panel.summary() == (
        "cot: 9 accepted, 2 rejected, 12 calls, 2 of them retries, 1 cached, 80 + 40 tokens, cost 0.0048"
    )
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", panel.summary() + "\n"), "no bar, and the figures once at the end"
    assert panel.reasons == {"rejected: HTTP 500": 2}


def test_the_panel_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Panel("cot", 2) as panel:
        panel.tally.calls = 3
        panel.accepted()
        panel.rejected("no")
    last = terminal.getvalue().split("\r")[-1]
    assert "cot" in last and "2/2" in last and "1 accepted, 1 rejected, 3 calls" in last


def test_no_answer_has_a_kind():
    assert NoAnswer("long reason").kind == "long reason" and NoAnswer("long", "short").kind == "short"
