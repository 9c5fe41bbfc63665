"""What each policy made of each question, kept within bounds."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool import group, mined, question, trained

from fleming_nemo.grpo import ledger as module
from fleming_nemo.grpo.ledger import EARLIER, KEPT_MININGS, Entry, Ledger, entry
from fleming_nemo.reward.verify import Outcome, Verdict
from fleming_nemo.rollout.episodes import Episode


def test_entry_counts_outcomes() -> None:
    outcomes = [Outcome.CORRECT, Outcome.WRONG, Outcome.MALFORMED, Outcome.TRUNCATED, Outcome.CORRECT]
    (blank,) = group(question("a"), [True])
    episodes = [Episode(blank.item, blank.prompt, blank.rollout, "", Verdict(o, None, "")) for o in outcomes]
    made = entry(episodes, "grpo_stage1/step_3", "train")
    assert made == Entry("a", "grpo_stage1/step_3", "train", rollouts=5, correct=2, truncated=1, unparsable=1)
    assert made.pass_rate == pytest.approx(0.4)


def test_it_survives_json() -> None:
    ledger = Ledger()
    ledger.add([mined("a", 3), mined("b", 0)])
    again = Ledger(json.loads(json.dumps(ledger.rows())))
    assert again.entries == ledger.entries
    again.add([mined("c", 1)])
    assert len(again.entries) == 3 and len(ledger.entries) == 2


def test_questions_about_an_item() -> None:
    ledger = Ledger()
    ledger.add([mined("a", 0), mined("b", 8)])
    ledger.add([trained("a", 4, 0)])
    assert ledger.last_pass_rate("a") == 0.5 and ledger.last_pass_rate("b") == 1
    assert ledger.last_pass_rate("c") is None and not ledger.never_right("c")
    assert ledger.never_right("a"), "training rounds do not count"
    ledger.begin_phase()
    ledger.add([mined("a", 1, policy="later"), mined("b", 0, policy="later")])
    assert [e.policy for e in ledger.minings("a")] == ["runs/sft", "later"]
    assert ledger.failures("a", 0.125) == 2 and ledger.failures("a", 0.0) == 1 and ledger.failures("b", 0.125) == 1
    assert not ledger.never_right("a")


def test_an_item_that_a_step_drew_twice_has_one_entry() -> None:
    ledger = Ledger()
    ledger.add([trained("a", 4, 0), trained("b", 1, 0), trained("a", 2, 0)])
    assert [(e.item_id, e.rollouts, e.correct) for e in ledger.entries] == [("a", 16, 6), ("b", 8, 1)]
    assert ledger.last_pass_rate("a") == 6 / 16


def test_phases_are_added_up_under_the_policy_that_was_mined() -> None:
    ledger = Ledger()
    ledger.add([mined("a", 0), mined("b", 0)])
    for step in range(3):
        ledger.add([trained("a", step, step), trained("b", 1, step)])
    assert len(ledger.entries) == 8, "the current phase is kept step by step"
    ledger.begin_phase()
    ledger.add([mined("a", 8, policy="grpo_stage2/step_3"), mined("b", 8, policy="grpo_stage2/step_3")])
    train = [e for e in ledger.entries if e.round == "train"]
    assert [(e.item_id, e.policy, e.rollouts, e.correct) for e in train] == [
        ("a", "grpo_stage2/step_0", 24, 3),
        ("b", "grpo_stage2/step_0", 24, 3),
    ]


ITEMS = "abcd"
PHASES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 8), min_size=4, max_size=4),
        st.lists(st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(0, 8)), max_size=5), max_size=3),
    ),
    min_size=1,
    max_size=9,
)


@given(PHASES)
def test_a_long_run_stays_small_and_loses_no_rollout(phases: list) -> None:
    ledger, step = Ledger(), 0
    rollouts: Counter[tuple[str, str]] = Counter()
    for number, (found, steps) in enumerate(phases):
        ledger.begin_phase()
        ledger.add(mined(i, n, policy=f"policy_{number}") for i, n in zip(ITEMS, found, strict=True))
        for drawn in steps:
            ledger.add(trained(i, n, step) for i, n in drawn)
            step += 1
            rollouts.update(Counter(("train", i) for i, _ in drawn for _ in range(8)))
        rollouts.update({("mining", i): 8 for i in ITEMS})
        # a resumed run goes on from the same content
        again = Ledger(json.loads(json.dumps(ledger.rows())))
        assert again.entries == ledger.entries
        ledger = again
    kept: Counter[tuple[str, str]] = Counter()
    for e in ledger.entries:
        kept[e.round, e.item_id] += e.rollouts
    assert kept == rollouts
    last = [e for i in ITEMS for e in ledger.minings(i)][-1:]
    assert last[0].policy == f"policy_{len(phases) - 1}"
    for item in ITEMS:
        policies = [e.policy for e in ledger.minings(item)]
        expected = [f"policy_{n}" for n in range(len(phases))]
        cut = max(0, len(phases) - KEPT_MININGS)
        assert policies == ([EARLIER] if cut else []) + expected[cut:]
        done = sum(len(steps) for _, steps in phases[-1:])
        of_training = [e for e in ledger.entries if e.round == "train" and e.item_id == item]
        assert len(of_training) <= KEPT_MININGS + 1 + done


def test_a_long_phase_is_added_up_too_and_alike_after_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TRAINING_ENTRIES", 6)
    unbroken, resumed = Ledger(), Ledger()
    for ledger in (unbroken, resumed):
        ledger.add([mined("a", 0), mined("b", 0)])
    sizes = []
    for step in range(20):
        new = [trained("a", 1, step), trained("b", 2, step)]
        unbroken.add(new)
        resumed = Ledger(resumed.rows())
        resumed.add(new)
        assert resumed.entries == unbroken.entries
        sizes.append(len(unbroken.entries))
    assert max(sizes) <= 2 + 2 + 6
    assert sum(e.correct for e in unbroken.entries if e.item_id == "b") == 40
