"""Each known source in its published shape, the traps of each, and rows of any shape at all."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import CASES, medmcqa_rows

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.curated.heldout import pubmedqa_test_ids
from fleming_nemo.rods.curated.mapping import builtin_mappings, parse_mapping
from fleming_nemo.rods.curated.reader import Origin, read_source, to_item
from fleming_nemo.rods.curated.rejects import Refused

BUILTIN = builtin_mappings()
ORIGIN = Origin("file.jsonl", "sha256:0", "train")


def item(name, row, **changes):
    return to_item({**row, **changes}, BUILTIN[name], ORIGIN, 1)


def case(name):
    return next(row for known, row, *_ in CASES if known == name)


def refused(name, **changes):
    with pytest.raises(Refused) as caught:
        item(name, case(name), **changes)
    return caught.value


def test_every_known_source_has_a_case():
    assert {name for name, *_ in CASES} == set(BUILTIN)


@pytest.mark.parametrize(("name", "row", "answer", "options"), CASES, ids=[c[0] for c in CASES])
def test_a_row_in_its_published_shape(name, row, answer, options):
    found = item(name, row)
    assert (found.answer, list(found.options)) == (answer, options)
    assert found.language == ("zh" if name.startswith(("cmexam", "jmed")) else "en")
    assert found.provenance["licence"] and found.provenance["dataset"]
    assert "Answer Choices" not in found.question
    assert "It does." not in f"{found}", "the conclusion of the abstract gives the answer away"


def test_pubmedqa_context_has_its_section_labels():
    assert item("pubmedqa", case("pubmedqa")).context == "AIM: We asked.\nRESULTS: We saw."


@pytest.mark.parametrize("name", ["pubmedqa", "pubmedqa_json"])
def test_no_pubmedqa_test_item_enters_training(name):
    ids = sorted(pubmedqa_test_ids())
    column = BUILTIN[name].row_id[0]
    rows = [(n, {**case(name), column: i}, None) for n, i in enumerate([*ids, *map(int, ids), "1", 2], 1)]
    read = read_source(rows, BUILTIN[name], ORIGIN)
    assert [i.provenance["row_id"] for i in read.items] == ["1", "2"]
    assert {r.kind for r in read.rejects} == {"held out"} and len(read.rejects) == 1000


def test_pubmedqa_test_items_may_be_read_for_evaluation():
    one = min(pubmedqa_test_ids())
    found = to_item(
        {**case("pubmedqa"), "pubid": one}, BUILTIN["pubmedqa"], Origin("f", "r", "test", training=False), 1
    )
    assert found.provenance["row_id"] == one


def test_a_copy_of_pubmedqa_cannot_be_mapped_without_its_list():
    value = {"title": "my Pub Med-QA copy", "language": "en", "licence": "MIT", "question": "q"}
    value |= {"options": {"kind": "list", "column": "o"}, "answer": {"kind": "letter", "column": "a"}}
    with pytest.raises(UserError, match="held_out"):
        parse_mapping("copy", value, "here")


@pytest.mark.parametrize(
    ("name", "changes", "field", "kind"),
    [
        ("cmexam", {"Answer": "ABCE"}, "Answer", "several answers"),
        ("cmexam_csv", {"Answer": "A,B"}, "Answer", "several answers"),
        ("cmexam", {"Answer": None}, "Answer", "no answer"),
        ("cmexam_csv", {"Options": "no letters here"}, "Options", "packed options do not start with A"),
        ("medmcqa", {"cop": -1}, "cop", "no answer"),
        ("medmcqa", {"cop": 4}, "cop", "answer outside the options"),
        ("medmcqa", {"cop": True}, "cop", "not a number"),
        ("medmcqa_json", {"cop": 0}, "cop", "answer outside the options"),
        ("medmcqa", {"opd": None}, "opd", "empty"),
        ("medmcqa", {"opd": "iron"}, "options", "duplicate options"),
        ("medqa", {"answer_idx": "E"}, "answer_idx", "answer outside the options"),
        ("medqa", {"answer": "lead"}, "answer", "answers disagree"),
        ("medqa", {"options": {"A": "x", "C": "y"}}, "options", "option keys are not A, B, C ..."),
        ("mmlu_pro", {"answer_index": 8}, "answer_index", "answers disagree"),
        ("careqa", {"question": None}, "question", "empty"),
        ("headqa", {"image": "x.png"}, "image", "not in words"),
        ("headqa", {"ra": 9}, "ra", "answer outside the options"),
        ("jmed", {"answer": "F"}, "answer", "answer outside the options"),
        ("medxpertqa_json", {"label": ["A", "B"]}, "label", "not exactly one answer"),
        ("pubmedqa", {"final_decision": "perhaps"}, "final_decision", "answer outside the options"),
        ("pubmedqa", {"pubid": None}, "pubid", "empty"),
        ("mmlu", {"choices": "iron"}, "choices", "not a list"),
        ("mmlu", {"question": "half \ud83d"}, "question", "not UTF-8"),
    ],
)
def test_what_a_source_may_not_say(name, changes, field, kind):
    found = refused(name, **changes)
    assert found.field == field and found.reason.split(":")[0] == kind


def test_a_missing_column_is_named():
    row = case("medmcqa")
    del row["cop"]
    try:
        with pytest.raises(Refused) as caught:
            item("medmcqa", row)
    finally:
        row["cop"] = 0
    assert caught.value.field == "cop" and caught.value.reason == "column missing"


def test_packed_options_may_run_over_lines():
    row = {"Question": "哪一项？", "Options": "A．甲\n 型B\nB、乙\nC. 丙", "Answer": "B"}
    assert list(item("cmexam_csv", row).options) == ["甲 型B", "乙", "丙"]


def test_packed_options_that_could_be_cut_in_two_ways_are_refused():
    found = refused("cmexam_csv", Options="A 甲\nB 型\nB 乙\nC 丙")
    assert found.reason.startswith("packed options out of order")


def test_numbers_may_be_floats_or_texts():
    assert [item("medmcqa", case("medmcqa"), cop=v).answer for v in (2, 2.0, "2", "2.0")] == [2] * 4


@pytest.mark.parametrize(("name", "shift"), [("medmcqa", 1), ("medmcqa_json", 0)])
def test_the_other_publishers_counting_is_noticed_not_shifted(name, shift):
    """Read as it stands, three of four rows would keep a wrong label and only one would be rejected."""
    rows = [(n, {**row, "cop": row["cop"] + shift}, None) for n, row in enumerate(medmcqa_rows(8), 1)]
    with pytest.raises(UserError, match="counts from"):
        read_source(rows, BUILTIN[name], ORIGIN)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=8) | st.sampled_from("ABCDEyesno"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ABCDkeyvalu", max_size=5), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=30)
@given(st.data())
@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_garbage_is_an_item_or_a_reject(name, data):
    """Some columns of a good row are replaced by anything: the reader never raises and never loses a row."""
    good = case(name)
    row = {
        k: data.draw(ANY) if data.draw(st.booleans()) else v for k, v in good.items() if data.draw(st.integers(0, 9))
    }
    read = read_source([(1, row, row)], BUILTIN[name], ORIGIN)
    assert len(read.items) + len(read.rejects) == 1
    for reject in read.rejects:
        assert reject.field and reject.reason and reject.raw.encode("utf-8") is not None
        assert reject.file == "file.jsonl" and reject.row == 1 and len(reject.raw) <= 500
    for found in read.items:
        assert 0 <= found.answer < len(found.options)
        assert not any(isinstance(v, float) and math.isnan(v) for v in found.provenance.values())


def test_mistakes_in_a_mapping_are_named():
    good = {"title": "T", "language": "en", "licence": "MIT", "question": "q"}
    good |= {"options": {"kind": "list", "column": "o"}, "answer": {"kind": "letter", "column": "a"}}
    assert parse_mapping("x", good, "here").options.column == "o"
    for change, message in [
        ({"qestion": "q"}, "unknown field 'qestion'"),
        ({"options": {"kind": "lists", "column": "o"}}, "options.kind"),
        ({"options": {"kind": "list"}}, "names no column"),
        ({"answer": {"kind": "index", "column": "a"}}, "answer.kind"),
        ({"answer": {"kind": "key", "column": "a"}}, "needs options of kind pairs"),
        ({"question": 7}, "expected a text"),
        ({"row_id": "id"}, "expected a list"),
        ({"held_out": "other"}, "only list"),
        ({"format": "xlsx"}, "format"),
    ]:
        with pytest.raises(UserError, match=message):
            parse_mapping("x", {**good, **change}, "here")
    with pytest.raises(UserError, match="field answer is missing"):
        parse_mapping("x", {k: v for k, v in good.items() if k != "answer"}, "here")
