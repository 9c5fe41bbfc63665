"""Which updates a run takes; that the engine obeys is in test_engine.py."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.training.guards import ENOUGH, PATIENCE, WINDOW, GradientGuard

NORMS = st.one_of(st.floats(0, 100), st.sampled_from([math.nan, math.inf, 1e6]))


def judge_all(guard: GradientGuard, norms: list[float]) -> list[bool | str]:
    """Whether each was skipped; the error, if one ends the run."""
    decisions: list[bool | str] = []
    for norm in norms:
        try:
            decisions.append(guard.judge(norm, loss=1.0).skip)
        except UserError as error:
            return [*decisions, str(error)]
    return decisions


def steady(guard: GradientGuard, count: int = ENOUGH, norm: float = 1.0) -> GradientGuard:
    assert judge_all(guard, [norm] * count) == [False] * count
    return guard


@pytest.mark.parametrize("skip_spikes", [0.0, 3.0])
@pytest.mark.parametrize("norm, loss", [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, -math.inf)])
def test_what_is_not_finite_is_skipped_from_the_first_step(skip_spikes: float, norm: float, loss: float) -> None:
    verdict = GradientGuard(skip_spikes).judge(norm, loss)
    assert verdict.skip
    assert verdict.report.startswith("step 1: update skipped, the ")
    assert "threshold none, 1 in a row" in verdict.report


def test_a_spike_is_skipped_once_enough_is_known() -> None:
    assert not steady(GradientGuard(3.0), ENOUGH - 1).judge(100.0, 1.0).skip
    guard = steady(GradientGuard(3.0))
    assert not guard.judge(3.0, 1.0).skip, "the threshold itself is allowed"
    verdict = guard.judge(3.01, 1.0)
    assert verdict.skip
    assert verdict.report == (
        "step 22: update skipped, a spike of the gradient norm (gradient norm 3.01, threshold 3, 1 in a row)"
    )


def test_without_the_option_no_norm_is_too_high() -> None:
    assert not steady(GradientGuard(0.0)).judge(1e30, 1.0).skip


def test_the_median_is_of_the_recent_accepted_norms() -> None:
    guard = steady(steady(GradientGuard(3.0), norm=1.0), WINDOW // 2 + 1, norm=2.0)
    assert guard.threshold == 6.0, "more than half of the window is 2"
    assert judge_all(guard, [7.0] * (PATIENCE - 1)) == [True] * (PATIENCE - 1)
    assert guard.threshold == 6.0, "what was skipped does not count"
    steady(guard, WINDOW, norm=5.0)
    assert guard.threshold == 15.0
    assert len(guard.state_dict()["accepted"]) == WINDOW


def test_steps_without_any_gradient_do_not_make_the_others_spikes() -> None:
    guard = steady(GradientGuard(3.0), WINDOW, norm=0.0)
    assert not guard.judge(0.5, 1.0).skip
    steady(guard, ENOUGH - 1)
    assert guard.threshold == 3.0


def test_ten_in_a_row_end_the_run() -> None:
    guard = steady(GradientGuard(3.0))
    bad = [math.nan, 50.0] * PATIENCE
    *skipped, error = judge_all(guard, bad)
    assert skipped == [True] * (PATIENCE - 1)
    assert isinstance(error, str) and error.startswith(
        "the last 10 updates were skipped, and training does not recover"
    )
    assert "step 30: update skipped, a spike of the gradient norm (gradient norm 50, threshold 3, 10 in a row)" in error
    assert "optim.lr" in error and "metrics.jsonl" in error and "rollouts" in error and "model.weights" in error


def test_nine_in_a_row_do_not() -> None:
    guard = steady(GradientGuard(3.0))
    for _ in range(3):
        assert judge_all(guard, [math.nan] * (PATIENCE - 1) + [1.0]) == [True] * (PATIENCE - 1) + [False]


@given(norms=st.lists(NORMS, max_size=200), cut=st.integers(0, 200), skip_spikes=st.sampled_from([0.0, 1.5, 4.0]))
def test_a_resumed_run_decides_as_the_unbroken_one(norms: list[float], cut: int, skip_spikes: float) -> None:
    unbroken, first, second = (GradientGuard(skip_spikes) for _ in range(3))
    before = judge_all(first, norms[:cut])
    if before and isinstance(before[-1], str):
        assert judge_all(unbroken, norms) == before
        return
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + judge_all(second, norms[cut:]) == judge_all(unbroken, norms)
    assert second.state_dict() == unbroken.state_dict()


@given(norms=st.lists(NORMS, max_size=120))
def test_no_accepted_norm_is_above_its_threshold(norms: list[float]) -> None:
    guard = GradientGuard(2.0)
    for norm in norms:
        threshold = guard.threshold
        try:
            skipped = guard.judge(norm, 0.0).skip
        except UserError:
            return
        assert skipped == (not norm <= threshold or math.isinf(norm))
