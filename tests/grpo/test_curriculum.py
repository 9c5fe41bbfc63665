"""Which questions a step draws."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum import Curriculum, easy_and_moderate


def questions(name: str, count: int, difficulty: str | None = None) -> list[QAItem]:
    return [
        QAItem(f"{name}{n}", "Which?", ("a", "b"), 0, None, "kg", "en", "train", difficulty, {}) for n in range(count)
    ]


MIXES = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any)


@given(mix=MIXES, sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)), count=st.integers(1, 9))
def test_any_prefix_of_the_run_holds_the_ratio(mix: tuple[int, int], sizes: tuple[int, int], count: int) -> None:
    pools = {"right": questions("r", sizes[0]), "wrong": questions("w", sizes[1])}
    curriculum = Curriculum(pools, mix, seed=3)
    drawn: list[QAItem] = []
    for step in range(12):
        batch = curriculum.draw(step, count)
        assert len(batch) == count
        drawn += batch
        for name, weight in zip("rw", mix, strict=True):
            share = sum(item.id.startswith(name) for item in drawn)
            assert abs(share - len(drawn) * weight / sum(mix)) < 1


@given(mix=MIXES, sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)), count=st.integers(1, 9))
def test_every_question_comes_once_in_an_epoch(mix: tuple[int, int], sizes: tuple[int, int], count: int) -> None:
    pools = {"right": questions("r", sizes[0]), "wrong": questions("w", sizes[1])}
    curriculum = Curriculum(pools, mix, seed=3)
    drawn = [item for step in range(15) for item in curriculum.draw(step, count)]
    for name, pool in zip("rw", pools.values(), strict=True):
        ids = [item.id for item in drawn if item.id.startswith(name)]
        for start in range(0, len(ids) - len(pool) + 1, len(pool)):
            assert set(ids[start : start + len(pool)]) == {item.id for item in pool}


def test_a_draw_is_a_function_of_seed_and_step() -> None:
    pools = {"right": questions("r", 30), "wrong": questions("w", 30)}
    forward = [Curriculum(pools, (1, 2), seed=3).draw(step, 6) for step in range(8)]
    curriculum = Curriculum(pools, (1, 2), seed=3)
    assert [curriculum.draw(step, 6) for step in reversed(range(8))] == forward[::-1]
    assert [Curriculum(pools, (1, 2), seed=4).draw(step, 6) for step in range(8)] != forward


def test_every_step_of_the_papers_ratios_is_exact() -> None:
    pools = {"right": questions("r", 30), "wrong": questions("w", 30)}
    for mix, expected in (((1, 1), {"r": 6, "w": 6}), ((1, 2), {"r": 4, "w": 8})):
        for step in range(5):
            assert Counter(item.id[0] for item in Curriculum(pools, mix, 0).draw(step, 12)) == expected


def test_an_empty_pool_leaves_its_share_to_the_other() -> None:
    curriculum = Curriculum({"right": questions("r", 5), "wrong": []}, (1, 2), seed=0)
    assert [item.id[0] for item in curriculum.draw(0, 4)] == ["r"] * 4


@pytest.mark.parametrize(("right", "mix"), [(0, (1, 2)), (5, (0, 2))])
def test_nothing_to_draw_from(right: int, mix: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="right, wrong"):
        Curriculum({"right": questions("r", right), "wrong": []}, mix, seed=0)


def test_stage_1_is_easy_and_moderate() -> None:
    tiers = {tier: questions(tier, n, tier) for n, tier in enumerate(("easy", "moderate", "difficult"), 2)}
    pools = easy_and_moderate([item for tier in tiers.values() for item in tier])
    assert pools == {"easy": tiers["easy"], "moderate": tiers["moderate"]}
    with pytest.raises(UserError, match="no moderate question"):
        easy_and_moderate(tiers["easy"])
