"""Learning rates, by hand and by their properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.choices import DECAYS
from fleming_nemo.config.schema import OptimConfig
from fleming_nemo.training.schedule import learning_rate


def rates(steps: int, lr: float = 1.0, **optim: object) -> list[float]:
    cfg = OptimConfig(lr=lr, **optim)  # type: ignore[arg-type]
    return [learning_rate(cfg, step, steps) for step in range(steps)]


def test_warm_up_then_constant() -> None:
    assert rates(6, warmup_steps=4, decay="constant") == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_falls_to_a_tenth() -> None:
    assert rates(4, decay="cosine") == pytest.approx([1.0, 0.8681981, 0.55, 0.2318019])
    assert rates(1000, decay="cosine")[-1] == pytest.approx(0.1, abs=1e-5)


def test_linear_falls_by_the_same_amount_each_step() -> None:
    assert rates(5, warmup_steps=2, decay="linear") == pytest.approx([0.5, 1.0, 1.0, 0.7, 0.4])


def test_wsd_is_constant_and_falls_over_the_last_fifth() -> None:
    expected = [0.5, 1.0] + [1.0] * 6 + [1.0, 0.55]
    assert rates(10, warmup_steps=2, decay="wsd") == pytest.approx(expected)
    assert rates(20, decay="wsd") == pytest.approx([1.0] * 17 + [0.775, 0.55, 0.325])


def test_a_wsd_warm_up_may_reach_into_the_last_fifth() -> None:
    assert rates(10, warmup_steps=9, decay="wsd") == pytest.approx([n / 9 for n in range(1, 10)] + [1.0])


def test_the_decay_begins_after_the_warm_up() -> None:
    assert rates(6, warmup_steps=2, decay="cosine") == pytest.approx([0.5, 1.0, 1.0, 0.8681981, 0.55, 0.2318019])


def test_no_warm_up_starts_at_the_peak() -> None:
    assert rates(2, warmup_steps=0, decay="constant") == [1.0, 1.0]


def test_a_decay_that_does_not_exist_is_not_taken_for_another() -> None:
    with pytest.raises(KeyError, match="exponential"):
        rates(2, decay="exponential")


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 320),
    decay=st.sampled_from(DECAYS),
    lr=st.floats(1e-9, 1.0),
)
def test_what_every_schedule_has_in_common(steps: int, warmup: int, decay: str, lr: float) -> None:
    made = rates(steps, lr, warmup_steps=warmup, decay=decay)
    assert all(0 < rate <= lr for rate in made), "never above the peak, not by a rounding error either"
    up, down = made[:warmup], made[warmup:]
    assert up == sorted(up)
    if warmup <= steps:
        assert made[max(0, warmup - 1)] == lr, "the peak is reached, exactly"
    assert down == sorted(down, reverse=True)
    assert all(rate >= lr * 0.1 * (1 - 1e-12) for rate in down)


@given(steps=st.integers(10, 2000), share=st.floats(0, 0.5), decay=st.sampled_from(DECAYS))
def test_no_step_jumps(steps: int, share: float, decay: str) -> None:
    """Neither within the decay nor where it begins: a step of the schedule is small against the whole of it."""
    warmup = int(steps * share)
    down = rates(steps, warmup_steps=warmup, decay=decay)[max(0, warmup - 1) :]
    steepest = {"constant": 0.0, "linear": 0.9, "cosine": 0.9 * 1.571, "wsd": 0.9 * 5}[decay]
    span = steps if decay == "wsd" else steps - warmup
    jumps = [a - b for a, b in zip(down, down[1:], strict=False)]
    assert max(jumps, default=0.0) <= steepest / span * (1 + 1e-9)


@given(steps=st.integers(1, 2000), decay=st.sampled_from(["cosine", "linear", "wsd"]))
def test_the_end_is_a_tenth(steps: int, decay: str) -> None:
    cfg = OptimConfig(lr=3e-5, decay=decay)
    assert learning_rate(cfg, steps, steps) == pytest.approx(3e-6, rel=1e-9)
