"""The walk over pages against a server on this machine: right, wrong, malformed, slow and missing answers."""

import json

import pytest
from kg_server import SENTENCE, Server

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.build import Input, build
from fleming_nemo.rods.kg.records import Extract, node
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.kg.text.agent import text_input, walk
from fleming_nemo.rods.kg.text.endpoint import Endpoint

NODES = [node("MONDO:1", "disease", "first disease", ("FD",)), node("HP:1", "phenotype", "Painful eyes")]


@pytest.fixture
def server():
    found = Server()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def endpoint(server, tmp_path):
    return Endpoint(server.url, "tiny", tmp_path / "answers", "secret", timeout_s=0.7, tries=3, pause_s=0.01)


def folder_of(tmp_path, *words):
    folder = tmp_path / "pages"
    folder.mkdir(exist_ok=True)
    for word in words:
        (folder / f"{word}.txt").write_text(f"{word} page. {SENTENCE}")
    return folder


def facts(extract):
    return [(e.subject, e.relation, e.object, e.negated) for e in extract.edges]


FACT = ("MONDO:1", "has_phenotype", "HP:1", False)


@pytest.mark.parametrize("word", ["RIGHT", "FENCED"])
def test_a_right_answer_links_to_the_graph(tmp_path, endpoint, server, word):
    extract = walk(folder_of(tmp_path, word), NODES, endpoint)
    assert facts(extract) == [FACT] and not extract.nodes and not len(extract.rejects)
    assert extract.edges[0].evidence == (f"{word}.txt, {word}, passage 1: {SENTENCE}",)
    asked = server.seen[0]
    assert (asked["path"], asked["key"], asked["model"]) == ("/v1/chat/completions", "Bearer secret", "tiny")
    assert "Known entities in it: Painful eyes; First disease" in asked["messages"][1]["content"]


def test_a_denial_stays_one(tmp_path, endpoint):
    assert facts(walk(folder_of(tmp_path, "DENIED"), NODES, endpoint)) == [(*FACT[:3], True)]


def test_unknown_names_become_nodes_of_their_own(tmp_path, endpoint):
    extract = walk(folder_of(tmp_path, "RIGHT"), [], endpoint)
    assert facts(extract) == [("TEXT:disease-first-disease", "has_phenotype", "TEXT:phenotype-painful-eyes", False)]
    assert {n.name for n in extract.nodes} == {"First disease", "Painful eyes"}


@pytest.mark.parametrize(
    ("word", "field", "reason"),
    [
        ("MALFORMED", "answer", "not JSON"),
        ("LENGTH", "answer", "cut off"),
        ("NOLIST", "relations", "expected an object with a list"),
        ("SPAN", "object", "does not occur in the passage"),
        ("SENTENCE", "sentence", "does not occur in the passage"),
        ("RELATION", "relation", "closed list"),
        ("TYPE", "object_type", "needs phenotype"),
    ],
)
def test_wrong_answers_are_set_aside(tmp_path, endpoint, word, field, reason):
    extract = walk(folder_of(tmp_path, word), NODES, endpoint)
    (reject,) = extract.rejects.rows
    assert not extract.edges and extract.complete
    assert (reject.file, reject.row, reject.field) == (f"{word}.txt", f"{word}, passage 1", field)
    assert reason in reject.reason and reject.raw


def test_the_good_rows_of_a_bad_answer_count(tmp_path, endpoint):
    extract = walk(folder_of(tmp_path, "ROW"), NODES, endpoint)
    assert facts(extract) == [FACT] and [r.field for r in extract.rejects.rows] == ["relations", "subject"]


@pytest.mark.parametrize("word", ["BUSY", "BROKEN", "SLOW"])
def test_it_asks_again(tmp_path, endpoint, server, word):
    assert facts(walk(folder_of(tmp_path, word), NODES, endpoint)) == [FACT]
    assert server.calls[word] == 2


def test_no_answer_is_reported_and_tried_next_time(tmp_path, endpoint, server):
    extract = walk(folder_of(tmp_path, "DEAD", "RIGHT"), NODES, endpoint)
    assert facts(extract) == [FACT] and not extract.complete
    assert "no answer in 3 tries: HTTP 503" in extract.rejects.rows[0].reason


def test_a_dead_endpoint_ends_the_walk(tmp_path, endpoint):
    pages = folder_of(tmp_path, "DEAD")
    (pages / "DEAD.txt").write_text("\n\n".join(f"DEAD {'x' * 3990}" for _ in range(9)))
    with pytest.raises(UserError, match="start again when it works"):
        walk(pages, NODES, endpoint)


def test_a_refusal_ends_the_walk_at_once(tmp_path, endpoint, server):
    with pytest.raises(UserError, match=r"HTTP 404: .*no such model.*check --endpoint"):
        walk(folder_of(tmp_path, "REFUSED"), NODES, endpoint)
    assert server.calls["REFUSED"] == 1


def test_a_stopped_walk_repeats_no_finished_call(tmp_path, endpoint, server):
    pages = folder_of(tmp_path, "RIGHT", "EMPTY", "REFUSED")
    with pytest.raises(UserError):
        walk(pages, NODES, endpoint, workers=1)
    done = {word for word, number in server.calls.items() if number} - {"REFUSED"}
    (pages / "REFUSED.txt").unlink()
    walk(pages, NODES, endpoint)
    assert done and all(server.calls[word] == 1 for word in ("RIGHT", "EMPTY"))


def test_a_half_written_answer_is_asked_again(tmp_path, endpoint, server):
    pages = folder_of(tmp_path, "RIGHT")
    walk(pages, NODES, endpoint)
    (answer,) = endpoint.cache.rglob("*.json")
    answer.write_text('{"answer"')
    assert facts(walk(pages, NODES, endpoint)) == [FACT] and server.calls["RIGHT"] == 2


def test_the_walk_follows_what_it_met(tmp_path, endpoint, server):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "aaa.txt").write_text(f"AAA page. {SENTENCE}")
    (pages / "FD.txt").write_text(f"FD page. {SENTENCE}")
    (pages / "ignored.pdf").write_bytes(b"%PDF")
    extract = walk(pages, NODES, endpoint, max_pages=1)
    assert list(server.calls) == ["FD"] and facts(extract) == [FACT], "the page about a known disease comes first"


def test_the_whole_build_with_text(tmp_path, endpoint, server):
    base = Input("base", {"sha256": "1"}, lambda _: Extract("1", list(NODES)))
    pages = folder_of(tmp_path, "RIGHT", "DENIED", "MALFORMED")
    for out, workers in (("a", 1), ("b", 8)):
        build(tmp_path / out, [base, text_input(pages, endpoint, workers, None, [base])])
    kg = KnowledgeGraph.load(tmp_path / "a")
    assert kg.num_edges == 2 and kg.contradicted.all() and kg.sources == ("text",)
    for name in ("edges.parquet", "manifest.json", "rejects.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "rejects.jsonl").read_text())["reason"] == "not JSON"
    assert sum(server.calls.values()) == 3
