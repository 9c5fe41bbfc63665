"""The label check and the difficulty labels, against a local server, a recorded file and a ledger."""

import json
import re

import pytest
from endpoint.server import Server, Status, asked
from invented import medmcqa_rows

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import EndpointForm
from fleming_nemo.grpo.ledger import Entry, Ledger
from fleming_nemo.rods.curated.difficulty import (
    Thresholds,
    parse_tier,
    set_difficulty,
    tiers_from_ledger,
    tiers_from_model,
)
from fleming_nemo.rods.curated.label_check import check_labels, read_decisions
from fleming_nemo.rods.curated.mapping import builtin_mappings
from fleming_nemo.rods.curated.reader import Origin, to_item
from fleming_nemo.rods.curated.votes import Votes, ask_votes, exam_prompt, parse_letter, recorded_votes

MEDMCQA = builtin_mappings()["medmcqa"]


def make_items(n):
    return [to_item(row, MEDMCQA, Origin("f.jsonl", "r", "train"), k) for k, row in enumerate(medmcqa_rows(n), 1)]


def endpoint(server, **changes):
    return EndpointForm(server.url, "strong-model", **{"concurrency": 4, "timeout_s": 20, "attempts": 1, **changes})


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def number_of(prompt):
    return int(re.search(r"number (\d+) in", prompt)[1])


def scripted(body, nth):
    """Item 0: always right. Item 1: right in the last trial. Item 2: always wrong. Item 3: no letter."""
    n, trial = number_of(asked(body)), body["seed"]
    right = "ABCD"[n % 4]
    wrong = "ABCD"[(n + 1) % 4]
    said = {0: right, 1: right if trial == 4 else wrong, 2: wrong}.get(n)
    return f"<think>hm <answer>{right}</answer></think>So it is <answer>{said}</answer>." if said else "I do not know."


def test_five_failures_go_to_review_and_nothing_is_lost(tmp_path):
    items = make_items(4)
    with Server(scripted) as server:
        votes, calls = ask_votes(items, endpoint(server), 5, tmp_path / "answers")
    assert calls == server.calls == 20
    assert [votes[i.id].correct for i in items] == [5, 1, 0, 0]
    result = check_labels(items, votes)
    assert result.kept == items[:2]
    assert [row["id"] for row in result.review] == [items[2].id, items[3].id]
    assert result.review[0]["model_says"] == "D" and result.review[0]["label"] == "C"
    assert result.review[0]["answers"] == ["D"] * 5 and result.review[1]["answers"] == ["unparsable"] * 5
    assert result.counts == {"right at least once": 2, "wrong in all trials": 2}


def test_the_prompt_holds_the_options_and_not_the_label():
    (item,) = make_items(1)
    prompt = exam_prompt(item)
    assert all(f"{letter}) {text}" in prompt for letter, text in zip("ABCD", item.options, strict=True))
    assert "medmcqa" not in prompt.lower() and item.id not in prompt


def test_an_answer_is_bought_once(tmp_path):
    items = make_items(6)
    with Server(scripted) as server:
        first = ask_votes(items[:4], endpoint(server), 5, tmp_path / "answers")
        assert ask_votes(items[:4], endpoint(server), 5, tmp_path / "answers") == (first[0], 0)
        assert ask_votes(items, endpoint(server), 5, tmp_path / "answers")[1] == 10
        other = endpoint(server, temperature=0.5)
        assert ask_votes(items[:1], other, 5, tmp_path / "answers")[1] == 5


def test_items_without_an_answer_go_to_review_as_unchecked(tmp_path):
    """Item 1 is refused for good, item 2 fails in all attempts: neither is taken for wrong."""
    items = make_items(4)

    def rough(body, nth):
        n = number_of(asked(body))
        return {1: Status(400, "content filter"), 2: Status(500, "down")}.get(n, f"<answer>{'ABCD'[n % 4]}</answer>")

    with Server(rough) as server:
        votes, calls = ask_votes(items, endpoint(server), 5, tmp_path / "answers")
    assert [votes[i.id].correct for i in items] == [5, 0, 0, 5] and calls == server.calls == 20
    result = check_labels(items, votes)
    assert [row["reason"] for row in result.review] == ["unchecked: 0 of 5 trials"] * 2
    with Server(scripted) as server:
        votes, calls = ask_votes(items, endpoint(server), 5, tmp_path / "answers")
    assert calls == 5, "what got no answer is asked again, what was refused is not"


def test_an_endpoint_that_stays_away_stops_the_check_and_keeps_the_answers(tmp_path):
    items = make_items(3)
    broken = lambda body, nth: Status(500) if number_of(asked(body)) else "<answer>A</answer>"  # noqa: E731
    with Server(broken) as server, pytest.raises(UserError, match="8 requests in a row"):
        ask_votes(items, endpoint(server, concurrency=1), 5, tmp_path / "answers")
    with Server(scripted) as server:
        assert ask_votes(items, endpoint(server, concurrency=1), 5, tmp_path / "answers")[1] == server.calls == 10


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
    said += ["hard", "<difficulty>moderate</difficulty>"]
    with Server(lambda body, nth: said[number_of(asked(body))]) as server:
        tiers = tiers_from_model(items, endpoint(server), tmp_path / "difficulty")
        assert "rare conditions" in asked(server.bodies[0])
    assert [tiers.get(i.id) for i in items] == ["easy", "difficult", None, "moderate"]
    labelled, split = set_difficulty(items, tiers)
    assert [i.difficulty for i in labelled] == ["easy", "difficult", None, "moderate"]
    assert split == {"easy": 1, "moderate": 1, "difficult": 1, "none": 1}
    assert parse_tier("<difficulty>easy</difficulty><difficulty>moderate</difficulty>") is None
