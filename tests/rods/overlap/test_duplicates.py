"""Exact and near duplicates: which item stays, what the report says."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overlap_questions import BENCHMARK, CHINESE, NEIGHBOURS, SHORT, VIGNETTE

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap import shards
from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.exact import drop_exact_duplicates, exact_key
from fleming_nemo.rods.overlap.minhash import jaccard, signatures_of
from fleming_nemo.rods.overlap.near import drop_near_duplicates


def test_the_same_but_for_case_spaces_accents_and_option_order():
    copy = SHORT._replace(
        id="copy", question="  DRUG of choice, for\nàbsence seizures is ", options=SHORT.options[::-1]
    )
    result = drop_exact_duplicates([SHORT, VIGNETTE, copy])
    assert result.kept == [SHORT, VIGNETTE]
    assert result.clusters == [["short", "copy"]]
    (row,) = result.removed
    assert (row["id"], row["row"], row["kept_id"], row["kept_row"]) == ("copy", 2, "short", 0)


@pytest.mark.parametrize(
    ("one", "other"), [("pH < 7", "pH > 7"), ("+1", "-1"), ("1.5 mg", "15 mg"), ("T4", "T5"), ("10 %", "10 °")]
)
def test_signs_and_numbers_tell_options_apart(one, other):
    a, b = (Entry("a", "Which value is right?", (option, "none")) for option in (one, other))
    assert exact_key(a) != exact_key(b)


def test_different_answers_to_the_same_question_are_named():
    a, b = (QAItem(str(n), "Which?", ("x", "y"), n, None, "s", "en", "train", None, {}) for n in (0, 1))
    result = drop_exact_duplicates([a, b])
    assert result.removed[0]["answers_differ"] and result.counts["answers_differ"] == 1


def test_near_duplicates_go_and_neighbours_stay():
    near = VIGNETTE._replace(id="near", question=VIGNETTE.question.replace("three weeks", "six weeks"))
    chinese = CHINESE._replace(id="近", question=CHINESE.question.replace("45岁，", "45岁，近来"))
    items = [*BENCHMARK, *NEIGHBOURS, near, chinese]
    result = drop_near_duplicates(items)
    assert [(row["id"], row["kept_id"]) for row in result.removed] == [("near", "vignette"), ("近", "chinese")]
    assert result.kept == items[:-2]


def test_two_questions_on_one_passage_both_stay():
    other = VIGNETTE._replace(id="other", options=("Porphyria", "Anaemia", "Nephropathy", "Gout"))
    assert drop_near_duplicates([VIGNETTE, other]).removed == []


def test_a_chain_of_small_changes_does_not_drag_unlike_items_together():
    words = [f"word{n}" for n in range(40)]
    chain = [Entry(str(n), " ".join(words[n * 3 : n * 3 + 22]), ("yes", "no")) for n in range(6)]
    result = drop_near_duplicates(chain, threshold=0.6)
    assert [item.id for item in result.kept] == ["0", "2", "4"]
    assert all(row["similarity"] >= 0.6 for row in result.removed)


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=14), min_size=2, max_size=12))
def test_no_kept_pair_is_alike_and_every_removed_item_has_a_kept_twin(lists):
    items = [Entry(str(n), " ".join(f"w{k}x" for k in row), ()) for n, row in enumerate(lists)]
    result = drop_near_duplicates(items, threshold=0.7)
    kept = {item.id for item in result.kept}
    for row in result.removed:
        assert row["kept_id"] in kept and row["kept_row"] < row["row"] and row["similarity"] >= 0.7


def test_jaccard_is_that_of_sets():
    rng = random.Random(2)
    items = [Entry(str(n), " ".join(rng.choices("abcdefgh", k=12)), ()) for n in range(20)]
    made = signatures_of(items)
    sets = [set(made.shingles[a:b].tolist()) for a, b in zip(made.rows[:-1], made.rows[1:], strict=True)]
    left, right = np.triu_indices(20, 1)
    expected = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(jaccard(made.shingles, made.rows, left, right), expected)
    # The share of equal hashes estimates it: 120 of them have a standard error of at most 0.05.
    estimate = (made.values[left] == made.values[right]).mean(axis=1)
    assert np.abs(estimate - expected).max() < 0.2


def test_any_number_of_workers_and_empty_items(monkeypatch):
    monkeypatch.setattr(shards, "CHUNK", 3)
    items = [
        *BENCHMARK,
        Entry("e1", "", ()),
        *NEIGHBOURS,
        *(e._replace(id=f"again {e.id}") for e in BENCHMARK),
        Entry("e2", "", ()),
    ]
    one, two = (drop_near_duplicates(items, workers=workers) for workers in (1, 2))
    assert (one.kept, one.removed, one.clusters) == (two.kept, two.removed, two.clusters)
    assert one.counts["removed"] == len(BENCHMARK), "an empty text is like no other"
    assert drop_near_duplicates([]).kept == []


def test_a_senseless_threshold_is_refused():
    with pytest.raises(UserError, match="expected a share between"):
        drop_near_duplicates(BENCHMARK, threshold=70)
