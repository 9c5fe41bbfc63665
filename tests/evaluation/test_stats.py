"""Intervals against textbook values, known edge cases and simulated coverage."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fleming_nemo.evaluation.stats import (
    accuracy_interval,
    chance_level,
    paired_difference,
    summarise,
    wilson_interval,
)
from fleming_nemo.reward.verify import Outcome


def row(item_id, seed, outcome, num_options=4, difficulty="easy", length=100):
    return {
        "item_id": item_id,
        "seed": seed,
        "outcome": Outcome(outcome),
        "num_options": num_options,
        "difficulty": difficulty,
        "length": length,
    }


@pytest.mark.parametrize(
    ("num_right", "n", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_published_values(num_right, n, low, high):
    assert wilson_interval(num_right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_mirrors():
    low, high = wilson_interval(3, 10)
    assert wilson_interval(7, 10) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("num_right", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_share(num_right, n):
    with pytest.raises(ValueError):
        wilson_interval(num_right, n)


def test_one_seed_is_wilson():
    right_Q = np.array([1] * 30 + [0] * 70)
    assert accuracy_interval(right_Q) == wilson_interval(30, 100)
    assert accuracy_interval(right_Q[:, None]) == wilson_interval(30, 100)


def test_repeating_the_same_answers_adds_no_information():
    """Four identical seeds must not shrink the interval: the question is the unit, not the answer."""
    right_Q = np.arange(200) < 80
    low, high = accuracy_interval(np.repeat(right_Q[:, None], 4, axis=1))
    assert (low, high) == pytest.approx(wilson_interval(80, 200), abs=0.01)


def test_independent_seeds_shrink_the_interval():
    """Pure coin flips carry no question effect, so 16 seeds behave like 16 times the questions."""
    right_QS = np.random.default_rng(1).random((200, 16)) < 0.5
    low, high = accuracy_interval(right_QS)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(200 * 16), rel=0.15)


def test_bootstrap_covers_the_truth_about_95_times_in_100():
    """Questions of Beta(2, 2) difficulty have a mean of 0.5; 300 experiments of 100 questions and 4 seeds."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        ability_Q = rng.beta(2, 2, size=(100, 1))
        low, high = accuracy_interval(rng.random((100, 4)) < ability_Q, resamples=1000)
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.parametrize("value", [0, 1])
def test_unanimous_answers_keep_a_width(value):
    assert accuracy_interval(np.full((25, 4), value)) == wilson_interval(25 * value, 25)


def test_questions_that_all_score_alike_keep_a_width():
    assert accuracy_interval([[0, 1]] * 10) == wilson_interval(5, 10)


@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1)))
def test_the_interval_holds_the_mean_and_is_deterministic(right_QS):
    low, high = accuracy_interval(right_QS, resamples=200)
    assert 0 <= low <= right_QS.mean() + 1e-12
    assert right_QS.mean() - 1e-12 <= high <= 1
    assert (low, high) == accuracy_interval(right_QS, resamples=200)


@pytest.mark.parametrize("bad", [[], [[]], [[0.5]], [[2]], [[[1]]]])
def test_only_a_grid_of_zeros_and_ones_is_accepted(bad):
    with pytest.raises(ValueError):
        accuracy_interval(bad)


def test_paired_difference_of_known_answers():
    before = [[0, 0], [0, 1], [1, 1], [0, 0]]
    after = [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert paired_difference(before, after).mean == pytest.approx((1 + 0 + 0 + 0.5) / 4)
    assert paired_difference(after, before).mean == pytest.approx(-0.375)


def test_pairing_is_narrower_than_two_intervals():
    """Where most questions are answered alike before and after, only the changed ones carry spread."""
    before_Q = np.arange(400) < 200
    after_Q = np.arange(400) < 220
    difference = paired_difference(before_Q, after_Q)
    assert difference.mean == pytest.approx(0.05)
    assert 0 < difference.ci95[0] < 0.05 < difference.ci95[1]
    low, high = accuracy_interval(before_Q)
    assert difference.ci95[1] - difference.ci95[0] < (high - low) / 2


def test_paired_difference_takes_other_numbers_of_seeds():
    difference = paired_difference([[0], [1]], [[1, 1, 0], [1, 0, 0]])
    assert difference.mean == pytest.approx((2 / 3 + 1 / 3 - 1) / 2)


def test_paired_difference_needs_the_same_questions():
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([1, 0], [1, 0, 1])


def test_chance_level_averages_over_mixed_items():
    assert chance_level([4, 4]) == 0.25
    assert chance_level([2, 10]) == pytest.approx(0.3)
    with pytest.raises(ValueError):
        chance_level([])


def test_summarise_gives_the_fields_of_eval_json():
    rows = [
        row("q1", 0, "correct"),
        row("q1", 1, "correct", length=200),
        row("q1", None, "correct"),
        row("q2", 0, "wrong", num_options=10, difficulty="difficult"),
        row("q2", 1, "malformed", num_options=10, difficulty="difficult"),
        row("q2", None, "wrong", num_options=10, difficulty="difficult"),
        row("q3", 0, "correct", num_options=2, difficulty=None),
        row("q3", 1, "truncated", num_options=2, difficulty=None, length=400),
        row("q3", None, "wrong", num_options=2, difficulty=None),
    ]
    summary = summarise(rows, stage="sft")
    low, high = summary.pop("ci95")
    assert low < 0.5 < high
    assert summary == {
        "stage": "sft",
        "accuracy": pytest.approx(0.5),
        "n": 3,
        "seeds": pytest.approx([2 / 3, 1 / 3]),
        "greedy": pytest.approx(1 / 3),
        "chance": pytest.approx((1 / 4 + 1 / 10 + 1 / 2) / 3),
        "malformed": pytest.approx(1 / 6),
        "truncated": pytest.approx(1 / 6),
        "by_difficulty": {"easy": {"accuracy": 1.0, "n": 1}, "difficult": {"accuracy": 0.0, "n": 1}},
        "mean_length": pytest.approx(1000 / 6),
    }
    json.dumps(summarise(rows, stage="sft"), allow_nan=False)


def test_greedy_answers_alone_are_a_summary_too():
    rows = [row(f"q{index}", None, "correct" if index < 6 else "wrong") for index in range(10)]
    summary = summarise(rows, stage="base")
    assert summary["accuracy"] == summary["greedy"] == pytest.approx(0.6)
    assert summary["seeds"] == []
    assert summary["ci95"] == list(wilson_interval(6, 10))


def test_row_order_does_not_matter():
    rows = [row(f"q{q}", s, "correct" if (q + s) % 3 else "wrong") for q in range(20) for s in range(3)]
    assert summarise(rows, "sft") == summarise(rows[::-1], "sft")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("q1", 0, "correct"), row("q1", 0, "wrong")],
        [row("q1", 0, "correct"), row("q1", 1, "wrong"), row("q2", 0, "correct")],
        [row("q1", 0, "correct"), row("q2", None, "correct")],
    ],
    ids=["none", "twice", "hole", "other questions greedily"],
)
def test_an_incomplete_grid_is_refused(rows):
    with pytest.raises(ValueError):
        summarise(rows, stage="sft")
