"""Counting what a policy makes of each question, and splitting the pool by it."""

import json

import pytest

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo import mining
from fleming_nemo.grpo.ledger import Entry, Ledger, entry
from fleming_nemo.reward.verify import Outcome, Verdict
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.rollout.types import Rollout


def question(name: str, difficulty: str = "easy") -> QAItem:
    return QAItem(name, "Which?", ("a", "b"), 0, None, "kg", "en", "train", difficulty, {})


def counted(name: str, correct: int, rollouts: int = 8) -> Entry:
    return Entry(name, "runs/sft", "mining", rollouts, correct, truncated=0, unparsable=0)


def test_thresholds_are_inclusive() -> None:
    items = [question(str(correct)) for correct in range(9)]
    entries = [counted(str(correct), correct) for correct in reversed(range(9))]  # in whatever order
    pools = mining.split(RunConfig(), items, entries)
    assert [item.id for item in pools["wrong"]] == ["0", "1"]  # <= 1/8
    assert [item.id for item in pools["right"]] == ["4", "5", "6", "7", "8"]  # >= 1/2


def test_report_counts_what_lies_between() -> None:
    items = [question("a"), question("b", "difficult"), question("c", "difficult"), question("d", "difficult")]
    entries = [counted("a", 8), counted("b", 0), counted("c", 2), counted("d", 1)]
    cfg = RunConfig()
    told = mining.report(cfg, items, entries, mining.split(cfg, items, entries))
    assert (told["right"], told["wrong"], told["between"]) == (1, 2, 1)
    assert told["policy_version"] == "runs/sft"
    assert told["by_difficulty"]["difficult"] == {"items": 3, "pass_rate": 1 / 8, "wrong": 2, "between": 1}


def test_entry_counts_outcomes() -> None:
    outcomes = [Outcome.CORRECT, Outcome.WRONG, Outcome.MALFORMED, Outcome.TRUNCATED, Outcome.CORRECT]
    rollout = Rollout([1], None, True, 0, 0)  # type: ignore[arg-type]
    episodes = [Episode(question("a"), (1,), rollout, "", Verdict(o, None, "")) for o in outcomes]
    made = entry(episodes, "grpo_stage1/step_3", "train")
    assert made == Entry("a", "grpo_stage1/step_3", "train", rollouts=5, correct=2, truncated=1, unparsable=1)
    assert made.pass_rate == pytest.approx(0.4)


def test_ledger_survives_json() -> None:
    ledger = Ledger()
    ledger.add([counted("a", 3), counted("b", 0)])
    again = Ledger(json.loads(json.dumps(ledger.rows())))
    assert again.entries == ledger.entries
    again.add([counted("c", 1)])
    assert len(again.entries) == 3 and len(ledger.entries) == 2
