"""The command that cleans a file: what stays, what the reports beside it say, what is refused."""

import gzip
import json

import pytest
from overlap_questions import ABSTRACT, NEIGHBOURS, SHORT, VIGNETTE

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.files import decontaminate_file


def line(entry: Entry, **more) -> bytes:
    row = {"id": entry.id, "question": entry.question, "options": list(entry.options), "context": entry.context}
    return json.dumps(row | more, ensure_ascii=False).encode()


def rows(path) -> list[dict]:
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def exams(tmp_path):
    folder = tmp_path / "exams"
    folder.mkdir()
    (folder / "boards.jsonl").write_bytes(line(VIGNETTE) + b"\n" + line(SHORT) + b"\n{half a row\n")
    (folder / "papers.jsonl.gz").write_bytes(gzip.compress(line(ABSTRACT)))
    (folder / "README.md").write_text("not a benchmark")
    return folder


def test_copies_go_and_the_rest_stays_byte_for_byte(tmp_path, exams):
    stay = [line(entry, source="made up", note="Größe") for entry in NEIGHBOURS]
    leak = line(SHORT._replace(id="leak", options=SHORT.options[::-1]))
    bad = b'{"id": "bad", "question": 7}'
    items, out = tmp_path / "items.jsonl", tmp_path / "clean.jsonl"
    items.write_bytes(b"\n".join([stay[0], bad, leak, *stay[1:]]))
    counts = decontaminate_file(items, [exams], out)
    assert out.read_bytes() == b"".join(row + b"\n" for row in stay)
    (removed,) = rows(tmp_path / "clean.removed.jsonl")
    (hit,) = removed["hits"]
    assert (removed["id"], removed["line"]) == ("leak", 3), "the line of the file, rows that cannot be read counted"
    assert (hit["benchmark"], hit["id"], hit["reason"]) == ("boards", "short", "same question")
    assert hit["span"] == "carbamazepine ethosuximide phenytoin vigabatrin", "longer than the words of the question"
    rejects = rows(tmp_path / "clean.rejects.jsonl")
    assert [(r["file"], r["row"], r["field"]) for r in rejects] == [
        (str(items), 2, "question"),
        (str(exams / "boards.jsonl"), 3, "(row)"),
    ]
    assert counts == json.loads((tmp_path / "clean.hits.json").read_text()) == {
        "items": len(NEIGHBOURS) + 1,
        "removed": 1,
        "rejects": 2,
        "benchmarks": {
            "boards": {"questions": 2, "items": 1, "rules": {"same question": 1}},
            "papers": {"questions": 1, "items": 0, "rules": {}},
        },
    }  # fmt: skip


def test_what_is_refused(tmp_path, exams):
    items = tmp_path / "items.jsonl"
    items.write_bytes(line(SHORT))
    with pytest.raises(UserError, match="one of the files read"):
        decontaminate_file(items, [exams], items)
    with pytest.raises(UserError, match="one of the files read"):
        decontaminate_file(items, [exams / "boards.jsonl"], exams / "boards.jsonl")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no \\*.jsonl"):
        decontaminate_file(items, [empty], tmp_path / "clean.jsonl")
    (empty / "nothing.jsonl").write_text("[]\n")
    with pytest.raises(UserError, match="benchmark nothing: no row can be read"):
        decontaminate_file(items, [exams, empty], tmp_path / "clean.jsonl")
    assert not (tmp_path / "clean.jsonl").exists() and items.read_bytes() == line(SHORT)
