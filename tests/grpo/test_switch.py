"""When stage 1 ends by itself."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.grpo.curriculum.switch import NOISE, WINDOW, Switch, slope_of

SHARES = st.floats(0, 1)


def reached(rewards: list[float], zero_variance: list[float]) -> int | None:
    switch = Switch()
    for step, (reward, share) in enumerate(zip(rewards, zero_variance, strict=True), 1):
        switch.measure(step, reward, share)
    return switch.reached


def noisy(values: np.ndarray) -> list[float]:
    return (values + np.random.default_rng(0).normal(0, 0.02, len(values))).tolist()


def test_flat_and_sparse_ends_the_stage_once_the_window_is_full() -> None:
    assert reached(noisy(np.full(60, 0.8)), [0.7] * 60) == WINDOW
    assert reached([0.8] * 60, [0.7] * 60) == WINDOW, "without any noise, too"


def test_a_reward_that_rises_does_not() -> None:
    rising = np.linspace(0.3, 0.9, 60)
    assert reached(noisy(rising), [0.7] * 60) is None
    # it does after the rise, when the window has mostly left it
    then_flat = reached(noisy(np.concatenate([rising, np.full(60, 0.9)])), [0.7] * 120)
    assert then_flat is not None and 65 < then_flat < 60 + WINDOW


def test_a_falling_reward_is_no_reason_to_go_on() -> None:
    assert reached(noisy(np.linspace(0.9, 0.6, 60)), [0.7] * 60) == WINDOW


def test_groups_that_disagree_are_worth_more_steps() -> None:
    assert reached(noisy(np.full(60, 0.8)), [0.4] * 60) is None
    # one lucky step is smoothed away
    assert reached(noisy(np.full(60, 0.8)), [0.4] * 59 + [1.0]) is None
    sparser = reached(noisy(np.full(80, 0.8)), [0.4] * 40 + [0.7] * 40)
    assert sparser is not None and 42 < sparser < 60


def test_it_is_reached_once() -> None:
    assert reached(noisy(np.full(90, 0.8)), [0.7] * 30 + [0.0] * 30 + [0.7] * 30) == WINDOW


@given(st.lists(SHARES, min_size=1, max_size=40))
def test_the_moving_average_begins_without_bias(shares: list[float]) -> None:
    switch = Switch()
    rows = [switch.measure(n, 0.5, share) for n, share in enumerate(shares, 1)]
    assert rows[0]["zero_variance_ema"] == pytest.approx(shares[0])
    assert all(min(shares) - 1e-9 <= row["zero_variance_ema"] <= max(shares) + 1e-9 for row in rows)


@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=50), st.data())
def test_a_resumed_run_switches_at_the_same_step(steps: list[tuple[float, float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(steps)))
    unbroken, first = Switch(), Switch()
    expected = [unbroken.measure(n, *step) for n, step in enumerate(steps, 1)]
    got = [first.measure(n, *step) for n, step in enumerate(steps[:cut], 1)]
    second = Switch()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    got += [second.measure(n, *step) for n, step in enumerate(steps[cut:], cut + 1)]
    assert got == expected
    assert second.reached == unbroken.reached
    assert second.report(True) == unbroken.report(True)


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=30))
def test_slope_is_that_of_least_squares(values: list[float]) -> None:
    slope, error = slope_of(values)
    x = np.arange(len(values))
    design = np.stack([x, np.ones_like(x)], axis=1)
    (expected, offset), *_ = np.linalg.lstsq(design, np.array(values), rcond=None)
    assert slope == pytest.approx(expected, abs=1e-9)
    rest = values - (expected * x + offset)
    assert error == pytest.approx(np.sqrt((rest @ rest) / (len(x) - 2) / ((x - x.mean()) ** 2).sum()), abs=1e-7)


def test_the_report_says_where_it_stands() -> None:
    switch = Switch()
    assert switch.report(acts=False)["reward_slope"] is None
    for step in range(1, WINDOW + 1):
        row = switch.measure(step, 0.5, 0.9)
    told = switch.report(acts=True)
    assert told["reached"] == WINDOW and told["acts"] and told["rule"]["noise"] == NOISE
    assert all(told[name] == row[name] for name in ("zero_variance_ema", "reward_slope", "reward_slope_noise"))
