"""Learning rates, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.schema import OptimConfig
from fleming_nemo.training.schedule import learning_rate


def rates(steps: int, **optim: object) -> list[float]:
    cfg = OptimConfig(lr=1.0, **optim)  # type: ignore[arg-type]
    return [learning_rate(cfg, step, steps) for step in range(steps)]


def test_warm_up_then_constant() -> None:
    assert rates(6, warmup_steps=4, decay="constant") == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_falls_to_a_tenth() -> None:
    assert rates(4, decay="cosine") == pytest.approx([1.0, 0.8681981, 0.55, 0.2318019])
    assert rates(1000, decay="cosine")[-1] == pytest.approx(0.1, abs=1e-5)


def test_cosine_begins_after_the_warm_up() -> None:
    assert rates(6, warmup_steps=2, decay="cosine") == pytest.approx([0.5, 1.0, 1.0, 0.8681981, 0.55, 0.2318019])


def test_no_warm_up_starts_at_the_peak() -> None:
    assert rates(2, warmup_steps=0, decay="constant") == [1.0, 1.0]


@given(steps=st.integers(1, 50), warmup=st.integers(0, 60), decay=st.sampled_from(["cosine", "constant"]))
def test_always_positive_and_never_above_the_peak(steps: int, warmup: int, decay: str) -> None:
    made = rates(steps, warmup_steps=warmup, decay=decay)
    assert all(0 < rate <= 1 for rate in made)
    after = made[warmup:]
    assert after == sorted(after, reverse=True)
