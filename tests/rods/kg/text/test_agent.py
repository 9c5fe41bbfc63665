"""The walk over pages against a server on this machine: right, wrong, malformed, slow and missing answers."""

import json
from dataclasses import replace

import pytest
from endpoint.server import Server
from kg_answers import SENTENCE, behave, calls

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Budget, Endpoint, Key
from fleming_nemo.rods.kg.build import Input, build
from fleming_nemo.rods.kg.records import Extract, node
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.kg.text.agent import text_input
from fleming_nemo.rods.kg.text.agent import walk as walk_with

NODES = [node("MONDO:1", "disease", "first disease", ("FD",)), node("HP:1", "phenotype", "Painful eyes")]


@pytest.fixture
def server():
    with Server(behave) as found:
        yield found


@pytest.fixture
def endpoint(server):
    return Endpoint(server.url, "tiny", Key("secret"), concurrency=4, timeout_s=0.7, attempts=3, pause_s=0.01)


@pytest.fixture
def walk(endpoint, tmp_path):
    def walked(pages, nodes, max_pages=None):
        return walk_with(pages, nodes, endpoint, tmp_path / "answers", max_pages=max_pages)

    return walked


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
def test_a_right_answer_links_to_the_graph(tmp_path, walk, server, word):
    extract = walk(folder_of(tmp_path, word), NODES)
    assert facts(extract) == [FACT] and not extract.nodes and not len(extract.rejects)
    assert extract.edges[0].evidence == (f"{word}.txt, {word}, passage 1: {SENTENCE}",)
    (body,), (headers,) = server.bodies, server.headers
    assert (body["model"], body["temperature"], headers["Authorization"]) == ("tiny", 0, "Bearer secret")
    assert "Known entities in it: Painful eyes; First disease" in body["messages"][1]["content"]


def test_a_denial_stays_one(tmp_path, walk):
    assert facts(walk(folder_of(tmp_path, "DENIED"), NODES)) == [(*FACT[:3], True)]


def test_unknown_names_become_nodes_of_their_own(tmp_path, walk):
    extract = walk(folder_of(tmp_path, "RIGHT"), [])
    assert facts(extract) == [("TEXT:disease-first-disease", "has_phenotype", "TEXT:phenotype-painful-eyes", False)]
    assert {n.name for n in extract.nodes} == {"First disease", "Painful eyes"}


@pytest.mark.parametrize(
    ("word", "field", "reason"),
    [
        ("MALFORMED", "answer", "not JSON"),
        ("LENGTH", "answer", "cut off"),
        ("FILTER", "answer", "refused"),
        ("NOLIST", "relations", "expected an object with a list"),
        ("SPAN", "object", "does not occur in the passage"),
        ("SENTENCE", "sentence", "does not occur in the passage"),
        ("RELATION", "relation", "closed list"),
        ("TYPE", "object_type", "needs phenotype"),
    ],
)
def test_wrong_answers_are_set_aside(tmp_path, walk, word, field, reason):
    extract = walk(folder_of(tmp_path, word), NODES)
    (reject,) = extract.rejects.rows
    assert not extract.edges and extract.complete
    assert (reject.file, reject.row, reject.field) == (f"{word}.txt", f"{word}, passage 1", field)
    assert reason in reject.reason and reject.raw


def test_the_good_rows_of_a_bad_answer_count(tmp_path, walk):
    extract = walk(folder_of(tmp_path, "ROW"), NODES)
    assert facts(extract) == [FACT] and [r.field for r in extract.rejects.rows] == ["relations", "subject"]


@pytest.mark.parametrize("word", ["BUSY", "BROKEN", "SLOW"])
def test_it_asks_again(tmp_path, walk, server, word):
    assert facts(walk(folder_of(tmp_path, word), NODES)) == [FACT]
    assert calls(server)[word] == 2


def test_no_answer_is_reported_and_tried_next_time(tmp_path, walk, server):
    extract = walk(folder_of(tmp_path, "DEAD", "RIGHT"), NODES)
    assert facts(extract) == [FACT] and not extract.complete
    assert "no answer in 3 attempts: HTTP 503" in extract.rejects.rows[0].reason


def test_a_dead_endpoint_ends_the_walk(tmp_path, walk):
    pages = folder_of(tmp_path, "DEAD")
    (pages / "DEAD.txt").write_text("\n\n".join(f"DEAD {n} {'x' * 3980}" for n in range(9)))
    with pytest.raises(UserError, match="8 requests in a row without an answer"):
        walk(pages, NODES)


def test_a_refusal_ends_the_walk_at_once(tmp_path, walk, server):
    with pytest.raises(UserError, match=r"HTTP 404: .*no such model.*check --endpoint"):
        walk(folder_of(tmp_path, "REFUSED"), NODES)
    assert calls(server)["REFUSED"] == 1


def test_a_stopped_walk_repeats_no_finished_call(tmp_path, walk, server):
    pages = folder_of(tmp_path, "RIGHT", "EMPTY", "REFUSED")
    with pytest.raises(UserError):
        walk(pages, NODES)
    (pages / "REFUSED.txt").unlink()
    walk(pages, NODES)
    assert calls(server)["RIGHT"] == calls(server)["EMPTY"] == 1


def test_the_walk_follows_what_it_met(tmp_path, walk, server):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "aaa.txt").write_text(f"AAA page. {SENTENCE}")
    (pages / "FD.txt").write_text(f"FD page. {SENTENCE}")
    (pages / "ignored.pdf").write_bytes(b"%PDF")
    extract = walk(pages, NODES, max_pages=1)
    assert list(calls(server)) == ["FD"] and facts(extract) == [FACT], "the page about a known disease comes first"


def test_the_whole_build_with_text(tmp_path, endpoint, server):
    base = Input("base", {"sha256": "1"}, lambda _: Extract("1", list(NODES)))
    pages = folder_of(tmp_path, "RIGHT", "DENIED", "MALFORMED")
    for out, slots in (("a", 1), ("b", 8)):
        asked = replace(endpoint, concurrency=slots)
        build(tmp_path / out, [base, text_input(pages, asked, tmp_path / out / "answers", Budget(), None, [base])])
    kg = KnowledgeGraph.load(tmp_path / "a")
    assert kg.num_edges == 2 and kg.contradicted.all() and kg.sources == ("text",)
    for name in ("edges.parquet", "manifest.json", "rejects.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "rejects.jsonl").read_text())["reason"] == "not JSON"
    assert server.calls == 6
