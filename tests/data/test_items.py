"""The QA item: what it accepts, what it refuses by name, and the way through a file and back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import ItemError, QAItem, item_id, read_items, write_items

ITEM = QAItem(
    id="1",
    question="Which vitamin prevents scurvy?",
    options=("A", "C"),
    answer=1,
    context=None,
    source="made-up",
    language="en",
    split="sft",
    difficulty="easy",
    provenance={"dataset": "none"},
)


def test_the_letter_of_the_answer():
    assert ITEM.letter == "B"


def test_an_open_ended_item_has_no_letter():
    open_ended = replace(ITEM, options=(), answer="vitamin C")
    with pytest.raises(ValueError, match="open-ended"):
        _ = open_ended.letter


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": " "}, "question"),
        ({"id": None}, "id"),
        ({"options": ("A", "A")}, "options"),
        ({"options": tuple(f"o{n}" for n in range(27))}, "options"),
        ({"options": ["A", "C"]}, "options"),
        ({"answer": 2}, "answer"),
        ({"answer": True}, "answer"),
        ({"answer": "B"}, "answer"),
        ({"options": (), "answer": 0}, "answer"),
        ({"difficulty": "hard"}, "difficulty"),
        ({"context": 3}, "context"),
        ({"provenance": []}, "provenance"),
    ],
)
def test_what_breaks_the_schema_is_named(change, field):
    with pytest.raises(ItemError) as error:
        replace(ITEM, **change)
    assert error.value.field == field


def test_the_id_follows_the_content():
    one = item_id("q", ["a", "b"], 0, source="kg")
    assert one == item_id("q", ("a", "b"), 0, source="kg") == "60d10063eb2f03f6"
    others = [item_id("q", ["b", "a"], 0), item_id("q", ["a", "b"], 1), item_id("q", ["a", "b"], 0, context="c")]
    assert len({one, *others}) == 4


text = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
any_item = st.builds(
    lambda question, options, context, provenance: replace(
        ITEM, question=question, options=tuple(options), answer=len(options) - 1, context=context, provenance=provenance
    ),
    text,
    st.lists(text, min_size=1, max_size=26, unique=True),
    st.none() | st.text(st.characters(codec="utf-8")),
    st.dictionaries(text, st.integers() | st.text(st.characters(codec="utf-8")) | st.lists(st.booleans()), max_size=3),
)


@given(st.lists(any_item, max_size=3))
def test_a_file_gives_back_what_was_written(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    items = [replace(item, id=str(number)) for number, item in enumerate(items)]
    write_items(path, items)
    assert read_items(path) == items
    assert [p.name for p in path.parent.iterdir()] == ["items.jsonl"], "no temporary file stays"


def row(**change):
    return {
        "id": "1", "question": "q", "options": ["a", "b"], "answer": 0, "context": None, "source": "s",
        "language": "en", "split": "sft", "difficulty": None, "provenance": {},
    } | change  # fmt: skip


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (json.dumps(row(answer=5, id="2")), "line 2, field answer"),
        (json.dumps(row(options="ab", id="2")), "line 2, field options"),
        (json.dumps(row(id="2", rating=3)), "line 2, field rating: unknown"),
        (json.dumps({k: v for k, v in row().items() if k != "split"}), "line 2, field split: missing"),
        (json.dumps(row()), "line 2, field id: 1 already stands on line 1"),
        ("[]", "line 2, field .row"),
        ('{"id": ', "line 2, column 8: not JSON"),
        ("", "line 2, column 1: not JSON"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(tmp_path, line, problem):
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(row()) + "\n" + line + "\n")
    with pytest.raises(UserError, match=f"items.jsonl, {problem}"):
        read_items(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="build_rods"):
        read_items(tmp_path / "none.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "items.jsonl"
    write_items(path, [ITEM])
    with pytest.raises(TypeError):
        write_items(path, [replace(ITEM, provenance={"not JSON": object()})])
    assert read_items(path) == [ITEM]
