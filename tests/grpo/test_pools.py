"""Splitting the whole pool by what the policy makes of it, again and again."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool import mined, question, questions

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo.curriculum import pools, quarantine
from fleming_nemo.grpo.ledger import Ledger


def ledger_of(*rounds: dict[str, int], rollouts: int = 8) -> Ledger:
    """One mining round for each {item: right rollouts}."""
    ledger = Ledger()
    for number, found in enumerate(rounds):
        ledger.begin_phase()
        ledger.add(mined(name, correct, rollouts, f"policy_{number}") for name, correct in found.items())
    return ledger


def test_thresholds_are_inclusive() -> None:
    items = [question(str(correct)) for correct in range(9)]
    ledger = ledger_of({str(correct): correct for correct in reversed(range(9))})  # in whatever order
    made = pools.split(RunConfig(), items, ledger, None)
    assert [item.id for item in made.wrong] == ["0", "1"]  # <= 1/8
    assert [item.id for item in made.right] == ["4", "5", "6", "7", "8"]  # >= 1/2
    assert [item.id for item in made.between] == ["2", "3"]


NAMES = [f"q{n}" for n in range(6)]
ROUNDS = st.lists(st.fixed_dictionaries({name: st.integers(0, 8) for name in NAMES}), min_size=1, max_size=7)


@given(rounds=ROUNDS, failed=st.sets(st.sampled_from(NAMES)), tiers=st.lists(st.booleans(), min_size=6, max_size=6))
def test_items_move_both_ways_and_none_is_lost(
    rounds: list[dict[str, int]], failed: set[str], tiers: list[bool]
) -> None:
    items = [question(name, "difficult" if hard else None) for name, hard in zip(NAMES, tiers, strict=True)]
    cfg = RunConfig()
    before: dict[str, str] = {}
    for seen in range(1, len(rounds) + 1):
        made = pools.split(cfg, items, ledger_of(*rounds[:seen]), frozenset(failed))
        roles = made.roles()
        parts = (made.right, made.wrong, made.between, made.quarantined)
        assert set(roles) == set(NAMES) and sum(map(len, parts)) == len(NAMES)
        for name, correct in rounds[seen - 1].items():
            hopeless = name in failed and not any(r[name] for r in rounds[:seen])
            expected = "right" if correct >= 4 else "between" if correct > 1 else "wrong"
            assert roles[name] == ("quarantined" if hopeless else expected)
        row = pools.round_row(seen, "p", before, made)
        assert row["right"] + row["wrong"] + row["between"] + row["quarantined"] == len(NAMES)
        was = sum(role == "wrong" for role in before.values())
        if before:
            assert row["wrong"] == was + row["entered_wrong"] - row["left_wrong"]
        before = roles


@pytest.mark.parametrize(
    ("rounds", "difficulty", "expected"),
    [
        ([0], "easy", 1),
        ([0], "difficult", 2),
        ([0, 1], "easy", 2),
        ([0, 8, 0], "moderate", 2),  # what it forgot counts as often as it failed
        ([0, 0, 0], "difficult", 4),
        ([0] * 9, "easy", 4),
    ],
)
def test_repeated_failures_and_difficult_items_come_more_often(
    rounds: list[int], difficulty: str, expected: int
) -> None:
    items = [question("a", difficulty), question("b")]
    ledger = ledger_of(*({"a": correct, "b": 8} for correct in rounds))
    assert pools.split(RunConfig(), items, ledger, None).turns == [expected]


def test_quarantine_needs_both_witnesses_and_every_round() -> None:
    items = questions("q", 4)
    first, second = {f"q{n}": 0 for n in range(4)}, {"q0": 0, "q1": 0, "q2": 1, "q3": 8}
    failed = frozenset({"q0", "q2", "q3"})
    cfg = RunConfig()
    assert [i.id for i in pools.split(cfg, items, ledger_of(first), failed).quarantined] == ["q0", "q2", "q3"]
    made = pools.split(cfg, items, ledger_of(first, second), failed)
    assert [i.id for i in made.quarantined] == ["q0"]
    assert [i.id for i in made.wrong] == ["q1", "q2"]
    cfg.grpo.quarantine = False
    assert not pools.split(cfg, items, ledger_of(first, second), failed).quarantined


def test_the_review_file(tmp_path: Path) -> None:
    file = tmp_path / "review.jsonl"
    assert quarantine.failed_label_check(file) is None
    rows = [
        {"id": "a", "reason": "wrong in all 5 trials", "model_says": "B", "answers": ["B"] * 5},
        {"id": "b", "reason": "unchecked: 2 of 5 trials", "model_says": None, "answers": ["refused"] * 5},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert quarantine.failed_label_check(file) == {"a"}
    file.write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match=r"review.jsonl, line 1: expected \{id, reason\}"):
        quarantine.failed_label_check(file)
    file.write_text('{"id": "a", "reason": "wrong in all 5 trials"}\n{"id"')
    with pytest.raises(UserError, match="line 2: not JSON"):
        quarantine.failed_label_check(file)


def test_the_review_file_that_the_label_check_writes() -> None:
    """A change of its wording would silently empty the quarantine."""
    from fleming_nemo.rods.curated.label_check import check_labels
    from fleming_nemo.rods.curated.votes import Votes

    items = [question("a"), question("b"), question("c")]
    checked = check_labels(items, {"a": Votes(5, 0, ("B",) * 5), "b": Votes(5, 2, ("A",) * 5)})
    reasons = {row["id"]: row["reason"] for row in checked.review}
    assert reasons["a"].startswith(quarantine.FAILED) and not reasons["c"].startswith(quarantine.FAILED)


def test_reports() -> None:
    items = [question("a"), question("b", "difficult"), question("c", "difficult"), question("d", "difficult")]
    ledger = ledger_of({"a": 8, "b": 0, "c": 2, "d": 1})
    cfg = RunConfig()
    cfg.data.dir = "somewhere"
    made = pools.split(cfg, items, ledger, frozenset({"b"}))
    told = pools.report(items, ledger, made)
    assert (told["right"], told["wrong"], told["between"], told["quarantined"]) == (1, 1, 1, 1)
    assert (told["policy_version"], told["rollouts_per_item"]) == ("policy_0", 8)
    difficult = {"items": 3, "pass_rate": 1 / 8, "wrong": 1, "between": 1, "quarantined": 1}
    assert told["by_difficulty"]["difficult"] == difficult
    assert told["wrong_by_turns"] == {"2": 1}
    assert quarantine.report(cfg, made.quarantined, frozenset({"b"}))["items"] == ["b"]
    assert "no somewhere/review.jsonl: nothing is quarantined" in quarantine.report(cfg, [], None)["note"]
