"""The endless shuffled stream of samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.data.order import take

SIZES, SEEDS = st.integers(1, 40), st.integers(0, 2**32)


@given(num_samples=SIZES, seed=SEEDS, epoch=st.integers(0, 5))
def test_every_epoch_is_a_permutation(num_samples: int, seed: int, epoch: int) -> None:
    assert sorted(take(epoch * num_samples, num_samples, num_samples, seed)) == list(range(num_samples))


@given(num_samples=SIZES, seed=SEEDS, start=st.integers(0, 200), cut=st.integers(0, 60), count=st.integers(0, 60))
def test_a_stretch_does_not_depend_on_where_reading_began(
    num_samples: int, seed: int, start: int, cut: int, count: int
) -> None:
    whole = take(start, cut + count, num_samples, seed)
    assert take(start, cut, num_samples, seed) == whole[:cut]
    assert take(start + cut, count, num_samples, seed) == whole[cut:]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(take(epoch * 30, 30, 30, seed)) for epoch in range(3) for seed in range(3)]
    assert len(set(orders)) == 9


def test_an_empty_set_has_no_order() -> None:
    with pytest.raises(ValueError, match="empty"):
        take(0, 1, 0, 0)


@given(num_samples=SIZES, start=st.integers(0, 200), count=st.integers(0, 60))
def test_a_curriculum_keeps_the_stored_order(num_samples: int, start: int, count: int) -> None:
    stored = list(range(num_samples)) * (260 // num_samples + 1)
    assert take(start, count, num_samples, seed=1, shuffle=False) == stored[start : start + count]
