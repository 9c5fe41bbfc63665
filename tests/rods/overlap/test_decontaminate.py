"""Copies of benchmark questions go, their neighbours stay, and the report says why."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overlap_questions import ABSTRACT, BENCHMARK, CHINESE, NEIGHBOURS, SHORT, STOCK, VIGNETTE

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap import shards
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.planted import MORE_KINDS, SIX_KINDS, plant

INDEX = BenchmarkIndex({"exam": BENCHMARK[:4], "papers": BENCHMARK[4:]})


def hits(*items: Entry) -> dict[str, list[dict]]:
    return {row["id"]: row["hits"] for row in decontaminate(items, INDEX).removed}


def test_neighbours_stay():
    assert hits(*NEIGHBOURS) == {}, "stock phrases, a shared topic or shared options alone convict nobody"


@pytest.mark.parametrize("kind", [*SIX_KINDS, *MORE_KINDS])
def test_every_disguise_is_found(kind):
    # A question of stock phrases only, in other words, is no longer the same question.
    entries = [entry for entry in BENCHMARK if (entry, kind) != (STOCK, "light rewording")]
    planted = plant(entries, SIX_KINDS | MORE_KINDS, 200, seed=3)
    copies = [(original, copy) for k, original, copy in planted if k == kind]
    assert copies, "the disguise fits some question"
    found = hits(*(copy for _, copy in copies))
    for original, copy in copies:
        assert original in [hit["id"] for hit in found.get(copy.id, [])], copy


@pytest.mark.parametrize(
    ("item", "original", "reason"),
    [
        (VIGNETTE, VIGNETTE, "64 letters"),
        (VIGNETTE._replace(question=VIGNETTE.question[60:], options=("Yes", "No")), VIGNETTE, "64 letters"),
        (SHORT._replace(options=("Levetiracetam", "Ethosuximide tablets")), SHORT, "same question"),
        (SHORT._replace(question="For absence seizures the drug of choice is"), SHORT, "question and options"),
        (STOCK._replace(question="Diagnosis?"), STOCK, "part of the question and options"),
        (
            CHINESE._replace(question="问：" + CHINESE.question.replace("45", "52")),
            CHINESE,
            "word n-grams",
        ),
        (Entry("c", "How was umbilical blood measured?", ("By mass",), ABSTRACT.context), ABSTRACT, "64 letters"),
    ],
)
def test_reason_and_span(item, original, reason):
    (hit,) = hits(item._replace(id="copy"))["copy"]
    assert (hit["id"], hit["reason"]) == (original.id, reason)
    assert hit["benchmark"] == ("papers" if original is ABSTRACT else "exam")
    assert len(hit["span"]) >= 10


@settings(max_examples=60)
@given(st.data())
def test_a_verbatim_copy_is_found_under_any_case_spacing_and_punctuation(data):
    original = data.draw(st.sampled_from([e for e in BENCHMARK if e is not STOCK]))
    signs = st.sampled_from(["", " ", "\n", "  ", ", ", " - ", "!", "\u00a0", "\u200b"])

    def disguised(text: str) -> str:
        parts = []
        for word in text.split():
            case = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
            parts.append(case(word) + (data.draw(signs) or ("" if not word[-1:].isdigit() else " ")))
        return "".join(parts)

    options = data.draw(st.permutations([disguised(option) for option in original.options]))
    copy = original._replace(id="copy", question=disguised(original.question), options=tuple(options))
    assert original.id in [hit["id"] for hit in hits(copy)["copy"]]


@settings(max_examples=25)
@given(st.sets(st.integers(0, 29)))
def test_a_verdict_depends_on_no_other_item(left_out):
    copies = [copy for _, _, copy in plant(BENCHMARK, SIX_KINDS, 24, seed=5)]
    items = [*copies, *NEIGHBOURS]
    everything = hits(*items)
    some = [item for at, item in enumerate(items) if at not in left_out]
    assert hits(*some) == {item.id: everything[item.id] for item in some if item.id in everything}


def test_any_number_of_workers_gives_the_same_bytes(monkeypatch):
    monkeypatch.setattr(shards, "CHUNK", 7)
    items = [*NEIGHBOURS, *(copy for _, _, copy in plant(BENCHMARK, SIX_KINDS, 40, seed=1))]
    one, two, three = (decontaminate(items, INDEX, workers) for workers in (1, 2, 3))
    as_bytes = [json.dumps([d.kept, d.removed, d.counts]).encode() for d in (one, two, three)]
    assert as_bytes[0] == as_bytes[1] == as_bytes[2]
    assert one.counts["removed"] == len(one.removed) > 30


def test_counts_add_up_and_nothing_vanishes():
    items = [*NEIGHBOURS, SHORT, VIGNETTE, ABSTRACT]
    result = decontaminate(items, INDEX)
    assert len(result.kept) + len(result.removed) == len(items) == result.counts["items"]
    assert [items[row["row"]].id for row in result.removed] == ["short", "vignette", "abstract"]
    assert result.counts["benchmarks"] == {
        "exam": {"questions": 4, "items": 2, "rules": {"64 letters": 1, "same question": 1}},
        "papers": {"questions": 5, "items": 1, "rules": {"64 letters": 1}},
    }


def book(words: int) -> str:
    rng = random.Random(0)
    return " ".join("".join(rng.choices("abcdefgh", k=6)) for _ in range(words))


def test_odd_items_are_fine():
    long = book(20_000)
    odd = [
        Entry("empty", "", ()),
        Entry("blank options", "?", ("", " ")),
        Entry("surrogate", "half of a pair \ud800", ("a",)),
        Entry("long", long, ("a", "b")),
        Entry("long with a copy", f"{long[:99_900]} {VIGNETTE.question} {long[99_900:]}", ("a", "b")),
    ]
    assert list(hits(*odd)) == ["long with a copy"], "also where the copy lies across two pieces"


@pytest.mark.slow
def test_ten_megabytes_with_a_copy_inside():
    text = book(1_500_000)
    assert len(text) > 10_000_000
    items = [
        Entry("clean", text, ("a",)),
        Entry("copy", f"{text[:5_000_000]} {VIGNETTE.question} {text[5_000_000:]}", ()),
    ]
    assert list(hits(*items)) == ["copy"]


def test_items_of_the_corpus_are_accepted_and_open_answers_count_as_options():
    question = "Which is the drug of choice for absence seizures?"
    item = QAItem("open", question, (), "Ethosuximide", None, "s", "en", "train", None, {})
    assert [hit["id"] for hit in hits(item)["open"]] == ["short"]


def test_no_benchmark_and_no_worker():
    assert decontaminate(NEIGHBOURS, BenchmarkIndex({})).removed == []
    assert decontaminate([], INDEX).kept == []
    with pytest.raises(UserError, match="0 workers: give at least one"):
        decontaminate(NEIGHBOURS, INDEX, workers=0)
