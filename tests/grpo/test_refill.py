"""Dynamic sampling: which groups a step trains on."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool import group, question

from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum import refill
from fleming_nemo.grpo.curriculum.refill import Batch, fill, is_flat
from fleming_nemo.rollout.episodes import Episode


def run(
    right: list[int], size: int, rounds: int, ranks: int, monkeypatch: pytest.MonkeyPatch, k: int = 3
) -> list[Batch]:
    """The batch of every rank; of the n-th question of the stream `right[n]` of k rollouts are right."""
    barrier = threading.Barrier(ranks, timeout=10)
    values: list[Any] = [None] * ranks
    here = threading.local()

    def gather(value: Any) -> list[Any]:
        values[here.rank] = value
        barrier.wait()
        found = list(values)
        barrier.wait()
        return found

    monkeypatch.setattr(refill.groups, "gather_over_dp", gather)
    made: list[Any] = [None] * ranks

    def one(rank: int) -> None:
        here.rank = rank
        position = 0

        def draw(count: int) -> list[QAItem]:
            nonlocal position
            position += count
            return [question(str(n)) for n in range(position - count, position)]

        def play(numbered: refill.Numbered) -> list[list[Episode]]:
            return [group(item, [i < right[n % len(right)] for i in range(k)]) for n, item in numbered]

        try:
            made[rank] = fill(size, draw, play, rounds, rank, ranks)
        except BaseException:
            barrier.abort()
            raise

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def test_flat_groups_give_their_places_to_further_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    #        drawn first   round 1    round 2
    right = [3, 1, 0, 2] + [0, 1] + [2]
    (batch,) = run(right, 4, 3, 1, monkeypatch)
    assert batch.chosen == [5, 1, 6, 3]
    assert (batch.asked, batch.extra) == (7, 3)
    assert list(batch.trained()) == [1, 3, 5, 6] and len(batch.first()) == 4


def test_within_the_bound_and_then_flat_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    (batch,) = run([0, 1, 3, 0, 0, 0], 3, 1, 1, monkeypatch)
    assert batch.chosen == [0, 1, 2] and batch.extra == 2
    (batch,) = run([0, 1, 3], 3, 0, 1, monkeypatch)
    assert batch.chosen == [0, 1, 2] and batch.extra == 0


@pytest.mark.parametrize(("right", "flat"), [(0, True), (1, False), (2, False), (3, True)])
def test_the_whole_group_decides(right: int, flat: bool) -> None:
    assert is_flat(group(question("a"), [i < right for i in range(3)])) is flat


STREAM = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@given(right=STREAM, per_rank=st.integers(1, 3), rounds=st.integers(0, 4), ranks=st.sampled_from([1, 2, 3]))
def test_what_is_chosen_does_not_depend_on_the_number_of_ranks(
    right: list[int], per_rank: int, rounds: int, ranks: int
) -> None:
    size = 6 * per_rank
    with pytest.MonkeyPatch.context() as patch:
        (alone,) = run(right, size, rounds, 1, patch)
        together = run(right, size, rounds, ranks, patch)

    def flat(n: int) -> bool:
        return right[n % len(right)] in (0, 3)

    assert len(alone.chosen) == len(set(alone.chosen)) == size
    assert all(n == place or flat(place) and not flat(n) for place, n in enumerate(alone.chosen))
    left = [n for n in alone.chosen if flat(n)]
    assert alone.extra <= rounds * size
    if left:
        # nothing of use was thrown away
        assert all(n in alone.chosen for n in range(alone.asked) if not flat(n))
    for batch in together:
        assert (batch.chosen, batch.asked) == (alone.chosen, alone.asked)
        assert len(batch.first()) == size // ranks
    assert sorted(n for batch in together for n in batch.played) == list(range(alone.asked))
    assert sorted(n for batch in together for n in batch.trained()) == sorted(alone.chosen)
