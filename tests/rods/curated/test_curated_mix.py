"""Mixing to shares, and the mentions of rare entities."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem, item_id
from fleming_nemo.rods.card.coverage import Entity, MentionFinder, coverage, graph_entities, mentions
from fleming_nemo.rods.curated.mix import Mix, cell, draw, whole_numbers


def make(n, source="a", language="en", difficulty=None, question="Which metal?", **provenance):
    options = (f"iron {n}", f"tin {n}")
    return QAItem(
        item_id(question, options, 0, None, source),
        question,
        options,
        0,
        None,
        source,
        language,
        "train",
        difficulty,
        provenance,
    )


def pool(**sizes):
    """pool(a_en_easy=10, ...)"""
    return [
        make(n, *name.split("_")[:2], None if name.endswith("none") else name.split("_")[2], question=name)
        for name, size in sizes.items()
        for n in range(size)
    ]


ITEMS = pool(a_en_easy=400, a_en_difficult=100, b_en_easy=100, b_en_difficult=200, c_zh_moderate=300, c_zh_none=100)


def share(items, axis):
    counts = Counter(cell(i)[axis] for i in items)
    return {value: n / len(items) for value, n in counts.items()}


def test_shares_are_met_on_every_axis_at_once():
    taken, report = draw(ITEMS, Mix(200, source={"a": 0.5, "c": 0.3}, difficulty={"easy": 0.4}), seed=1)
    assert len(taken) == len({i.id for i in taken}) == 200
    assert share(taken, 0) == pytest.approx({"a": 0.5, "b": 0.2, "c": 0.3}, abs=0.01)
    assert share(taken, 2)["easy"] == pytest.approx(0.4, abs=0.01)
    assert report["axes"]["source"]["a"] == {"asked": 0.5, "share": 0.5, "taken": 100, "pool": 500}
    # what nobody named shares the rest as it occurs: c is 3 moderate to 1 without a tier
    assert share(taken, 2)["moderate"] == pytest.approx(0.225, abs=0.01)


def test_a_draw_does_not_depend_on_the_order_of_the_pool_but_on_the_seed():
    mix = Mix(100, source={"a": 0.5})
    one, _ = draw(ITEMS, mix, 1)
    assert draw(ITEMS[::-1], mix, 1)[0] == one
    assert {i.id for i in draw(ITEMS, mix, 2)[0]} != {i.id for i in one}


def test_without_a_total_the_scarcest_pool_decides():
    taken, _ = draw(ITEMS, Mix(source={"a": 0.5, "b": 0.25, "c": 0.25}), 1)
    assert len(taken) == 1000
    taken, _ = draw(ITEMS, Mix(source={"a": 0.25, "b": 0.5, "c": 0.25}), 1)
    assert len(taken) == 600 and Counter(i.source for i in taken)["b"] == 300


def test_a_pool_that_is_too_small_says_so():
    with pytest.raises(UserError, match=r"too small for 1000.*b/en/difficult needs \d+, has 200.*At most about 600"):
        draw(ITEMS, Mix(1000, source={"a": 0.25, "b": 0.5, "c": 0.25}), 1)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"source": {"d": 0.1}}, "no item has d; the pool has a, b, c"),
        ({"source": {"a": 0.5, "b": 0.2, "c": 0.2}}, "add up to 0.9"),
        ({"source": {"c": 0.5}, "language": {"zh": 0.2}}, "contradict each other"),
        ({"source": {"a": 0.9, "b": 0.3}}, "at most 1 in all"),
        ({"source": {"a": -0.1}}, "at most 1 in all"),
        ({"source": {"a": True}}, "at most 1 in all"),
        ({"total": -1}, "expected a count"),
    ],
)
def test_shares_that_cannot_be(mix, message):
    with pytest.raises(UserError, match=message):
        draw(ITEMS, Mix(**mix), 1)


def test_an_empty_pool_is_told():
    with pytest.raises(UserError, match="every item was set aside"):
        draw([], Mix(10), 1)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12), st.integers(0, 1000))
def test_largest_remainder(weights, total):
    """Counts add up to the total and none is off by a whole item."""
    shares = {("s", "l", f"{n:02d}"): w / sum(weights) for n, w in enumerate(weights)}
    counts = whole_numbers(shares, total)
    assert sum(counts.values()) == total
    assert all(abs(counts[c] - s * total) < 1 + 1e-6 for c, s in shares.items())


def test_largest_remainder_by_hand():
    shares = {("s", "l", "a"): 0.45, ("s", "l", "b"): 0.33, ("s", "l", "c"): 0.22}
    assert list(whole_numbers(shares, 10).values()) == [5, 3, 2]
    assert list(whole_numbers(shares, 3).values()) == [1, 1, 1]


ENTITIES = [
    Entity("D:1", "disease", ("Marfan syndrome", "MFS", "马凡综合征")),
    Entity("D:2", "disease", ("Rare thing 2",)),
    Entity("C:1", "drug", ("tin oxide",)),
]


def test_mentions_are_whole_words():
    find = MentionFinder(ENTITIES).find
    assert find("A man with MARFAN  syndrome's signs") == {"D:1"}
    assert find("Marfanoid syndrome, MFS, rare thing 20, tin-oxides") == set()
    assert find("患者有马凡综合征。Rare thing 2; tin oxide") == {"D:1", "D:2", "C:1"}


def test_coverage_before_and_after():
    finder = MentionFinder(ENTITIES)
    curated = [make(n, question="Marfan syndrome?") for n in range(5)]
    synthetic = [make(9, question="Rare thing 2 or tin oxide or Marfan syndrome?")]
    found = coverage(ENTITIES, mentions(curated, finder), mentions(curated + synthetic, finder))
    assert found["disease"] == {
        "entities": 2,
        "mentioned_before": 1,
        "mentioned_after": 2,
        "rare": 1,
        "rare_covered_before": 0,
        "rare_covered_after": 1,
        "rare_below": 5,
    }
    assert found["drug"]["rare_covered_after"] == 1


def test_entities_come_from_the_graph_folder(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"id": "D:1", "type": "disease", "name": "one", "synonyms": ["uno"], "identifiers": [], "name_zh": "一号病"},
        {"id": "G:1", "type": "gene", "name": "two", "synonyms": None, "identifiers": [], "name_zh": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "nodes.parquet")
    assert graph_entities(tmp_path) == [Entity("D:1", "disease", ("one", "uno", "一号病"))]
    with pytest.raises(UserError, match="build_kg"):
        graph_entities(tmp_path / "none")
