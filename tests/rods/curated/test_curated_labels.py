"""The label check and the difficulty labels, against a local server, a recorded file and a ledger."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from endpoint_server import serve
from invented import medmcqa_rows

from fleming_nemo.config.errors import UserError
from fleming_nemo.grpo.ledger import Entry, Ledger
from fleming_nemo.rods.curated.answer_cache import AnswerCache, Reply
from fleming_nemo.rods.curated.difficulty import (
    Thresholds,
    parse_tier,
    set_difficulty,
    tiers_from_ledger,
    tiers_from_model,
)
from fleming_nemo.rods.curated.endpoint import Endpoint
from fleming_nemo.rods.curated.label_check import check_labels, read_decisions
from fleming_nemo.rods.curated.mapping import builtin_mappings
from fleming_nemo.rods.curated.reader import Origin, to_item
from fleming_nemo.rods.curated.votes import Votes, ask_votes, exam_prompt, parse_letter, recorded_votes

KEY = "sk-secret-of-this-test"
MEDMCQA = builtin_mappings()["medmcqa"]


def make_items(n):
    return [to_item(row, MEDMCQA, Origin("f.jsonl", "r", "train"), k) for k, row in enumerate(medmcqa_rows(n), 1)]


def endpoint(url, **changes):
    values = {"concurrency": 4, "timeout_s": 20, "attempts": 4, "wait_s": 0.01, "key_env": "TEST_ENDPOINT_KEY"}
    return Endpoint(url, "strong-model", **{**values, **changes})


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_ENDPOINT_KEY", KEY)


def number_of(prompt):
    return int(re.search(r"number (\d+) in", prompt)[1])


def scripted(prompt, trial):
    """Item 0: always right. Item 1: right in the last trial. Item 2: always wrong. Item 3: no letter."""
    n = number_of(prompt)
    right = "ABCD"[n % 4]
    wrong = "ABCD"[(n + 1) % 4]
    said = {0: right, 1: right if trial == 4 else wrong, 2: wrong}.get(n)
    return f"<think>hm <answer>{right}</answer></think>So it is <answer>{said}</answer>." if said else "I do not know."


def test_five_failures_go_to_review_and_nothing_is_lost(tmp_path):
    items = make_items(4)
    with serve(scripted) as server:
        votes, calls = ask_votes(items, endpoint(server.url), 5, tmp_path / "cache.jsonl")
    assert calls == server.calls == 20
    assert [votes[i.id].correct for i in items] == [5, 1, 0, 0]
    result = check_labels(items, votes)
    assert result.kept == items[:2]
    assert [row["id"] for row in result.review] == [items[2].id, items[3].id]
    assert result.review[0]["model_says"] == "D" and result.review[0]["label"] == "C"
    assert result.review[0]["answers"] == ["D"] * 5 and result.review[1]["answers"] == ["unparsable"] * 5
    assert result.counts == {"right at least once": 2, "wrong in all trials": 2}


def test_four_calls_are_under_way_and_never_five(tmp_path):
    together = threading.Barrier(4, timeout=30)

    def meet(prompt, trial):
        together.wait()
        return "<answer>A</answer>"

    with serve(meet) as server:
        ask_votes(make_items(4), endpoint(server.url), 5, tmp_path / "cache.jsonl")
    assert server.most_at_once == 4


def test_the_prompt_holds_the_options_and_not_the_label():
    (item,) = make_items(1)
    prompt = exam_prompt(item)
    assert all(f"{letter}) {text}" in prompt for letter, text in zip("ABCD", item.options, strict=True))
    assert "medmcqa" not in prompt.lower() and item.id not in prompt


def test_an_answer_is_bought_once(tmp_path):
    items = make_items(6)
    with serve(scripted) as server:
        first = ask_votes(items[:4], endpoint(server.url), 5, tmp_path / "cache.jsonl")
        assert ask_votes(items[:4], endpoint(server.url), 5, tmp_path / "cache.jsonl") == (first[0], 0)
        assert ask_votes(items, endpoint(server.url), 5, tmp_path / "cache.jsonl")[1] == 10
        other = endpoint(server.url, temperature=0.5)
        assert ask_votes(items[:1], other, 5, tmp_path / "cache.jsonl")[1] == 5


def test_passing_errors_are_retried_and_refusals_are_not(tmp_path):
    items = make_items(4)
    tries = Counter()

    def rough(prompt, trial):
        n = number_of(prompt)
        tries[n, trial] += 1
        if n == 0 and tries[n, trial] == 1:
            return 429, "slow down", {"Retry-After": "0"}
        if n == 1 and tries[n, trial] < 3:
            return 503, "busy", {}
        if n == 2:
            return 400, "content filter", {}
        if n == 3 and tries[n, trial] == 1:
            return 200, "no json", {}
        return f"<answer>{'ABCD'[n % 4]}</answer>"

    with serve(rough) as server:
        votes, _ = ask_votes(items, endpoint(server.url), 5, tmp_path / "cache.jsonl")
    assert [votes[i.id].correct for i in items] == [5, 5, 0, 5]
    assert {n: tries[n, 0] for n in range(4)} == {0: 2, 1: 3, 2: 1, 3: 2}
    result = check_labels(items, votes)
    assert [row["reason"] for row in result.review] == ["unchecked: 0 of 5 trials"]


def test_an_endpoint_that_stays_away_stops_the_run_and_keeps_the_answers(tmp_path):
    items = make_items(3)
    broken = lambda prompt, trial: (500, "down", {}) if number_of(prompt) == 2 else scripted(prompt, trial)  # noqa: E731
    with serve(broken) as server, pytest.raises(UserError, match="no answer after 4 attempts"):
        ask_votes(items, endpoint(server.url, concurrency=1), 5, tmp_path / "cache.jsonl")
    with serve(scripted) as server:
        _, calls = ask_votes(items, endpoint(server.url, concurrency=1), 5, tmp_path / "cache.jsonl")
        assert calls == server.calls == 5


def test_nobody_listening_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no answer after"):
        ask_votes(make_items(1), endpoint("http://127.0.0.1:9/v1"), 1, tmp_path / "cache.jsonl")


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_the_key_is_sent_and_shown_nowhere(tmp_path, status, capfd):
    with (
        serve(lambda *_: "x") as other,
        serve(lambda *_: (status, f"bad key {KEY}", {"Location": f"{other.url}/chat/completions"})) as server,
        pytest.raises(UserError) as caught,
    ):
        ask_votes(make_items(1), endpoint(server.url), 1, tmp_path / "cache.jsonl")
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.calls == 1 and not other.headers, "not retried, and the key follows no redirect"
    chain, said = caught.value, ""
    while chain is not None:
        said, chain = said + str(chain), chain.__cause__
    captured = capfd.readouterr()
    assert KEY not in said + captured.out + captured.err + (tmp_path / "cache.jsonl").read_text()


def test_keys_in_the_url_are_refused():
    for url in ("http://user:pw@host/v1", "http://host/v1?key=x", "host/v1", "file:///etc/passwd"):
        with pytest.raises(UserError) as caught:
            Endpoint(url, "m")
        assert "pw" not in str(caught.value)


CHILD = """
import json, sys
from pathlib import Path
from test_curated_labels import endpoint, make_items
from fleming_nemo.rods.curated.votes import ask_votes
votes, calls = ask_votes(make_items(12), endpoint(sys.argv[1]), 5, Path(sys.argv[2]))
print(json.dumps([calls, [votes[i.id].correct for i in make_items(12)]]))
"""


def test_a_kill_repeats_no_finished_call(tmp_path):
    """kill -9 while calls are under way: of 60 calls only those without an answer in the cache are made again."""

    def slow(prompt, trial):
        time.sleep(0.03)
        return f"<answer>{'ABCD'[number_of(prompt) % 4]}</answer>"

    cache = tmp_path / "cache.jsonl"
    paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    with serve(slow) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(cache)]
        environment = {**os.environ, "PYTHONPATH": paths}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while server.calls < 24 and time.monotonic() < deadline:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert 24 <= server.calls < 60
        with open(cache, "ab") as torn:
            torn.write(b'{"key": "half a li')
        saved = cache.read_bytes().count(b"\n")
        assert 24 - 4 <= saved < 60
        before = server.calls
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        calls, correct = json.loads(done.stdout)
        assert calls == 60 - saved == server.calls - before
        assert correct == [5] * 12
    assert len({json.loads(line)["key"] for line in cache.read_bytes().splitlines()}) == 60


def test_one_writer_at_a_time_and_damage_is_told(tmp_path):
    path = tmp_path / "cache.jsonl"
    with AnswerCache(path) as cache:
        cache.add("k", Reply("text \u2028 \ud800", "stop"))
        with pytest.raises(UserError, match="another run"), AnswerCache(path):
            pass
    with AnswerCache(path) as cache:
        assert cache["k"] == Reply("text \u2028 \ud800", "stop")
    path.write_bytes(b"damaged\n" + path.read_bytes())
    with pytest.raises(UserError, match="line 1: damaged"), AnswerCache(path):
        pass


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("<answer>B</answer>", "B"),
        ("x <answer> (C). </answer>", "C"),
        ("<answer>B</answer> or <answer>C</answer>", "unparsable"),
        ("<answer>B</answer> yes <answer>B</answer>", "B"),
        ("<answer>E</answer>", "unparsable"),
        ("B", "unparsable"),
        ("", "unparsable"),
        (None, "refused"),
    ],
)
def test_letters(text, letter):
    assert parse_letter(text, 4) == letter


def test_recorded_answers_and_ledger_rows(tmp_path):
    items = make_items(4)
    wrong = Entry(items[2].id, "p", "mining", 8, 0, 0, 0)
    (tmp_path / "ledger.json").write_text(json.dumps(Ledger([vars(wrong)]).rows()))
    assert recorded_votes(tmp_path / "ledger.json", items) == {items[2].id: Votes(8, 0)}
    rows = [
        {"id": items[0].id, "answers": ["A", None, "B", "B", "B"]},
        {"id": items[1].id, "answers": ["A", "A", "C"]},
        {"id": "someone else", "answers": ["A"]},
        wrong.__dict__,
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = check_labels(items, recorded_votes(path, items))
    assert result.kept == items[:1]
    assert [r["reason"] for r in result.review] == [
        "unchecked: 3 of 5 trials",
        "wrong in all 8 trials",
        "unchecked: 0 of 5 trials",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": "x"}', "line 1: expected"),
        ("[1", "not JSON"),
        ('{"id": "x", "answers": "ABC"}', "field answers"),
        ('{"item_id": "x", "policy": "p", "rollouts": 2, "correct": 3}', "rollouts and correct"),
        ("7", "expected an object"),
    ],
)
def test_bad_recorded_rows_are_named(tmp_path, row, message):
    (tmp_path / "a.jsonl").write_text(row)
    with pytest.raises(UserError, match=message):
        recorded_votes(tmp_path / "a.jsonl", [])


def test_a_reviewer_decides(tmp_path):
    items = make_items(3)
    path = tmp_path / "decisions.jsonl"
    path.write_text(f'{{"id": "{items[0].id}", "decision": "keep"}}\n{{"id": "{items[1].id}", "decision": "drop"}}\n')
    result = check_labels(items, {i.id: Votes(5, 0, ("A",) * 5) for i in items}, decisions=read_decisions(path))
    assert (result.kept, [r["id"] for r in result.review]) == ([items[0]], [items[2].id])
    assert [(r.row, r.field) for r in result.rejects] == [(2, "answer")]
    path.write_text('{"id": "x", "decision": "perhaps"}')
    with pytest.raises(UserError, match="keep or drop"):
        read_decisions(path)


def ledger(tmp_path, rows):
    path = tmp_path / "l.jsonl"
    path.write_text("".join(json.dumps(vars(Entry(*row, 0, 0))) + "\n" for row in rows))
    return path


def test_difficulty_from_a_ledger(tmp_path):
    rows = [("a", "p", "train", 5, 4), ("b", "p", "train", 5, 2), ("c", "p", "train", 5, 1), ("d", "p", "train", 3, 3)]
    rows += [("e", "p", "train", 2, 2), ("e", "p", "mining", 2, 0)]
    path = ledger(tmp_path, rows)
    assert tiers_from_ledger(path, Thresholds()) == {"a": "easy", "b": "moderate", "c": "difficult", "e": "moderate"}
    path = ledger(tmp_path, [*rows, ("a", "q", "train", 5, 0)])
    with pytest.raises(UserError, match="entries of p, q"):
        tiers_from_ledger(path, Thresholds())
    assert tiers_from_ledger(path, Thresholds(), "q") == {"a": "difficult"}
    with pytest.raises(UserError, match="difficult_at"):
        Thresholds(easy_at=0.2, difficult_at=0.5)


def test_difficulty_from_a_model(tmp_path):
    items = make_items(4)
    said = [
        "<difficulty>Easy</difficulty>",
        "<think><difficulty>easy</difficulty></think><difficulty>difficult</difficulty>",
    ]
    with serve(lambda prompt, _: [*said, "hard", "<difficulty>moderate</difficulty>"][number_of(prompt)]) as server:
        tiers = tiers_from_model(items, endpoint(server.url), tmp_path / "c.jsonl")
        assert "rare conditions" in server.bodies[0]["messages"][0]["content"]
    assert [tiers.get(i.id) for i in items] == ["easy", "difficult", None, "moderate"]
    labelled, split = set_difficulty(items, tiers)
    assert [i.difficulty for i in labelled] == ["easy", "difficult", None, "moderate"]
    assert split == {"easy": 1, "moderate": 1, "difficult": 1, "none": 1}
    assert parse_tier("<difficulty>easy</difficulty><difficulty>moderate</difficulty>") is None
