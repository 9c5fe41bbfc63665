"""Packs: nothing lost, nothing cut, full, and even over ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.data.packing import plan

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=60)


@given(lengths=LENGTHS, budget=st.integers(100, 400), ranks=st.integers(1, 5), group=st.integers(1, 4))
def test_every_sequence_is_in_one_pack_within_the_budget(
    lengths: list[int], budget: int, ranks: int, group: int
) -> None:
    dealt = plan(lengths, budget, ranks, group)
    assert sorted(i for packs in dealt for pack in packs for i in pack) == list(range(len(lengths)))
    assert max(sum(lengths[i] for i in pack) for packs in dealt for pack in packs) <= budget
    (count,) = {len(packs) for packs in dealt}
    assert len(dealt) == ranks and count % group == 0


@given(lengths=LENGTHS, budget=st.integers(100, 400), ranks=st.integers(1, 5))
def test_no_more_packs_than_twice_the_least_possible(lengths: list[int], budget: int, ranks: int) -> None:
    """What best fit guarantees (at most one pack can be half empty), rounded up to whole rounds over the ranks."""
    dealt = plan(lengths, budget, ranks)
    assert (len(dealt[0]) - 1) * ranks < max(1, -(-2 * sum(lengths) // budget))


def test_lengths_that_fit_exactly_do() -> None:
    """Longest-first into the emptiest pack would need three packs here; best fit finds the two."""
    assert sorted(len(p) for p in plan([6, 5, 5, 2, 2], 10, ranks=1)[0]) == [2, 3]


def test_a_sequence_longer_than_the_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="101 tokens does not fit into packs of 100"):
        plan([3, 101], 100, ranks=1)


def test_fewer_sequences_than_ranks_leave_empty_packs() -> None:
    assert sorted(map(len, (packs[0] for packs in plan([5, 7], 10, ranks=3)))) == [0, 1, 1]


def test_a_large_batch_is_full_and_even() -> None:
    """Log-normal lengths, as reasoning chains have them: tokens and attention work of 8 ranks."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(6.8, 0.6, 512), 64, 8192).astype(int).tolist()
    dealt = plan(lengths, 16384, ranks=8)
    sizes = [sum(lengths[i] for i in pack) for packs in dealt for pack in packs]
    assert sum(lengths) / (len(sizes) * max(sizes)) > 0.98
    work = [sum(lengths[i] ** 2 for pack in packs for i in pack) for packs in dealt]
    assert max(work) < 1.15 * np.mean(work)
