"""The stream of questions."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool import questions

from fleming_nemo.config.errors import UserError
from fleming_nemo.grpo.curriculum.mixture import Mixture, Pool, easy_and_moderate

MIXES = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
COUNTS = st.lists(st.integers(0, 9), min_size=8, max_size=12)
"""Questions drawn at a time: a step that refills draws more than others."""


def two_pools(sizes: tuple[int, int]) -> dict[str, Pool]:
    return {"right": Pool(questions("r", sizes[0])), "wrong": Pool(questions("w", sizes[1]))}


@given(mix=MIXES, sizes=SIZES, counts=COUNTS)
def test_any_prefix_of_the_run_holds_the_ratio(mix: tuple[int, int], sizes: tuple[int, int], counts: list[int]) -> None:
    mixture = Mixture(two_pools(sizes), mix, seed=3)
    drawn: list = []
    for count in counts:
        batch = mixture.draw(len(drawn), count)
        assert len(batch) == count
        drawn += batch
        for name, weight in zip("rw", mix, strict=True):
            share = sum(item.id.startswith(name) for item in drawn)
            assert abs(share - len(drawn) * weight / sum(mix)) < 1


@given(mix=MIXES, sizes=SIZES, counts=COUNTS)
def test_the_stream_does_not_depend_on_how_it_is_cut(
    mix: tuple[int, int], sizes: tuple[int, int], counts: list[int]
) -> None:
    mixture = Mixture(two_pools(sizes), mix, seed=3)
    starts = [sum(counts[:n]) for n in range(len(counts))]
    parts = [item.id for start, count in zip(starts, counts, strict=True) for item in mixture.draw(start, count)]
    assert Counter(parts) == Counter(item.id for item in mixture.draw(0, sum(counts)))


@given(mix=MIXES, sizes=SIZES, weights=st.lists(st.integers(1, 4), min_size=12, max_size=12), count=st.integers(1, 9))
def test_every_question_comes_in_an_epoch_as_often_as_its_weight_says(
    mix: tuple[int, int], sizes: tuple[int, int], weights: list[int], count: int
) -> None:
    pools = two_pools(sizes) | {"wrong": Pool(questions("w", sizes[1]), weights[: sizes[1]])}
    mixture = Mixture(pools, mix, seed=3)
    drawn = [item.id for step in range(15) for item in mixture.draw(step * count, count)]
    for name, turns in (("r", [1] * sizes[0]), ("w", weights[: sizes[1]])):
        ids = [i for i in drawn if i.startswith(name)]
        for start in range(0, len(ids) - sum(turns) + 1, sum(turns)):
            assert Counter(ids[start : start + sum(turns)]) == {f"{name}{n}": t for n, t in enumerate(turns)}


def test_a_draw_is_a_function_of_seed_and_position() -> None:
    pools = two_pools((30, 30))
    forward = [Mixture(pools, (1, 2), seed=3).draw(6 * step, 6) for step in range(8)]
    mixture = Mixture(pools, (1, 2), seed=3)
    assert [mixture.draw(6 * step, 6) for step in reversed(range(8))] == forward[::-1]
    assert [Mixture(pools, (1, 2), seed=4).draw(6 * step, 6) for step in range(8)] != forward


def test_every_step_of_the_papers_ratios_is_exact() -> None:
    for mix, expected in (((1, 1), {"r": 6, "w": 6}), ((1, 2), {"r": 4, "w": 8})):
        mixture = Mixture(two_pools((30, 30)), mix, 0)
        for step in range(5):
            assert Counter(item.id[0] for item in mixture.draw(12 * step, 12)) == expected


def test_an_empty_pool_leaves_its_share_to_the_other() -> None:
    mixture = Mixture(two_pools((5, 0)), (1, 2), seed=0)
    assert [item.id[0] for item in mixture.draw(0, 4)] == ["r"] * 4


@pytest.mark.parametrize(("right", "mix"), [(0, (1, 2)), (5, (0, 2))])
def test_nothing_to_draw_from(right: int, mix: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="right, wrong"):
        Mixture(two_pools((right, 0)), mix, seed=0)


def test_stage_1_is_easy_and_moderate() -> None:
    tiers = {tier: questions(tier, n, tier) for n, tier in enumerate(("easy", "moderate", "difficult"), 2)}
    pools = easy_and_moderate([item for tier in tiers.values() for item in tier])
    assert {name: pool.epoch() for name, pool in pools.items()} == {t: tiers[t] for t in ("easy", "moderate")}
    with pytest.raises(UserError, match="no moderate question"):
        easy_and_moderate(tiers["easy"])
