"""Files of every format with every defect: what can be read is read, what cannot is a reject with its row."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented import medmcqa_rows

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.curated.mapping import builtin_mappings
from fleming_nemo.rods.curated.reader import Origin, read_source
from fleming_nemo.rods.curated.rejects import Refused
from fleming_nemo.rods.curated.tables import read_rows

BUILTIN = builtin_mappings()
ROWS = medmcqa_rows(6)


def read(path, name="medmcqa"):
    return read_source(read_rows(path, BUILTIN[name]), BUILTIN[name], Origin(path.name, "r", "train"))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


FORMS = {
    "a.jsonl": lines(ROWS),
    "a.jsonl.gz": gzip.compress(lines(ROWS)),
    "a.json": json.dumps(ROWS).encode(),
    "lines-inside.json": lines(ROWS),
    "a.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "a.csv": table(ROWS),
    "bom.csv": b"\xef\xbb\xbf" + table(ROWS),
    "a.tsv.gz": gzip.compress(table(ROWS, "\t")),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_items(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    found = read(tmp_path / name)
    assert not found.rejects
    assert [(i.question, i.answer) for i in found.items] == [(r["question"], r["cop"]) for r in ROWS]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert [i.answer for i in read(tmp_path / "a.parquet").items] == [r["cop"] for r in ROWS]
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-40])
    with pytest.raises(UserError, match="not a readable Parquet"):
        read(tmp_path / "b.parquet")


def test_defects_are_set_aside_with_their_line(tmp_path):
    good = [json.dumps(row).encode() for row in ROWS]
    bad = {
        2: b"{not json",
        3: b"[1, 2]",
        4: '{"id": "x", "question": "Gro\u00dfe Frage?"}'.encode("latin-1"),
        5: json.dumps({**ROWS[0], "question": "\ud800 half"}).encode(),
        6: b"[" * 100_000,
        7: b"9" * 5_000,
    }
    all_lines = [good[0], *bad.values(), *good[1:]]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(all_lines))
    found = read(tmp_path / "a.jsonl")
    assert len(found.items) == 6
    assert [(r.row, r.file) for r in found.rejects] == [(n, "a.jsonl") for n in bad]
    assert [r.kind for r in found.rejects] == [
        "not JSON",
        "not an object",
        "not UTF-8",
        "not UTF-8",
        "not JSON",
        "not JSON",
    ] or found.rejects[2].field in ("id", "question")


def test_rows_after_a_cell_of_another_encoding_are_read(tmp_path):
    raw = table(ROWS).split(b"\r\n")
    raw[3] = raw[3].replace(b"Which", "Größe".encode("latin-1"))
    (tmp_path / "a.csv").write_bytes(b"\r\n".join(raw))
    found = read(tmp_path / "a.csv")
    assert len(found.items) == 5
    (reject,) = found.rejects
    assert (reject.row, reject.field, reject.kind) == (3, "question", "not UTF-8")


def test_a_declared_encoding_is_used(tmp_path):
    from dataclasses import replace

    mapping = replace(BUILTIN["cmexam_csv"], encoding="gb18030")
    row = {"Question": "哪种药物有效？", "Options": "A 甲\nB 乙", "Answer": "B", "Explanation": ""}
    (tmp_path / "a.csv").write_bytes(table([row]).decode().encode("gb18030"))
    found = read_source(read_rows(tmp_path / "a.csv", mapping), mapping, Origin("a.csv", "r", "train"))
    assert found.items[0].options == ("甲", "乙")
    plain = read(tmp_path / "a.csv", "cmexam_csv")
    assert not plain.items and plain.rejects[0].kind in ("not UTF-8", "column missing")


def test_a_question_of_ten_megabytes_is_a_row_like_any_other(tmp_path):
    rows = [ROWS[0], {**ROWS[1], "question": "long " * 2_000_000}, ROWS[2]]
    for name, raw in (("a.jsonl", lines(rows)), ("a.csv", table(rows))):
        (tmp_path / name).write_bytes(raw)
        found = read(tmp_path / name)
        assert len(found.items) == 3 and len(found.items[1].question) > 9_000_000


def test_wrong_numbers_of_columns_and_open_quotes(tmp_path):
    raw = table(ROWS).split(b"\r\n")
    raw[2] += b",more"
    raw[4] = b'"open" quote,' + raw[4]
    (tmp_path / "a.csv").write_bytes(b"\r\n".join(raw))
    found = read(tmp_path / "a.csv")
    assert len(found.items) == 4
    assert [(r.row, r.kind) for r in found.rejects] == [(2, "wrong number of columns"), (4, "not CSV")]


def test_files_without_header_and_objects_by_id(tmp_path):
    (tmp_path / "a.csv").write_text("Which metal is it?,iron,zinc,tin,lead,C\n")
    assert read(tmp_path / "a.csv", "mmlu_csv").items[0].answer == 2
    row = {"QUESTION": "Does tin help?", "CONTEXTS": ["We saw."], "LABELS": ["AIM"], "final_decision": "no"}
    (tmp_path / "b.json").write_text(json.dumps({"1": row, "2": "no object"}))
    found = read(tmp_path / "b.json", "pubmedqa_json")
    assert found.items[0].provenance["row_id"] == "1"
    assert [(r.row, r.kind) for r in found.rejects] == [(2, "not an object")]
    question = {"qid": "1", "qtext": "Which metal is it?", "ra": "2", "image": ""}
    question["answers"] = [{"aid": 1, "atext": "iron"}, {"aid": 2, "atext": "tin"}]
    (tmp_path / "c.json").write_text(json.dumps({"exams": {"x": {"data": [question]}, "y": {"data": [question]}}}))
    found = read(tmp_path / "c.json", "headqa_json")
    assert [i.provenance["row_id"] for i in found.items] == ["x/1", "y/1"]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.jsonl.gz", gzip.compress(lines(ROWS))[:-9], "cut off or damaged"),
        ("a.jsonl.gz", b"not gzip", "cut off or damaged"),
        ("a.json", b'[{"a": 1}, ', "not JSON"),
        ("a.json", b'"text"', "expected a list of rows"),
        ("a.xlsx", b"PK", "cannot tell the format"),
        ("b.jsonl", None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_at_all(tmp_path, name, raw, message):
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=message):
        read(tmp_path / name)


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["a.jsonl", "a.csv", "a.tsv"]))
def test_any_bytes_are_rows_or_rejects(tmp_path_factory, chunks, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(b"\n".join(chunks))
    rows = list(read_rows(path, BUILTIN["medmcqa"]))
    assert all(isinstance(row, dict | Refused) for _, row, _ in rows)
    numbers = [number for number, _, _ in rows]
    assert numbers == sorted(set(numbers))
    read(path)
