"""Building: same bytes, nothing read twice, a stopped build goes on."""

import json
import shutil

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.build import Input, build, packaged
from fleming_nemo.rods.kg.records import Extract, edge, node

FILES = ("nodes.parquet", "edges.parquet", "texts.parquet", "rejects.jsonl", "manifest.json")


def source(name, calls, extract=None, fail=False):
    def read(_):
        calls.append(name)
        if fail:
            raise KeyboardInterrupt
        return extract or Extract("1", [node(f"MONDO:{name}", "disease", name)])

    return Input(name, {"sha256": name}, read)


def test_the_same_inputs_give_the_same_bytes(tiny_inputs, tiny_folder, tmp_path):
    build(tmp_path, tiny_inputs)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes(), name


def test_a_stopped_build_does_not_read_a_finished_source_again(tmp_path):
    calls: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, [source("a", calls), source("b", calls, fail=True)])
    assert not (tmp_path / "manifest.json").exists()
    build(tmp_path, [source("a", calls), source("b", calls)])
    assert calls == ["a", "b", "b"]


def test_a_resumed_build_gives_the_same_bytes(tiny_inputs, tiny_folder, tmp_path):
    shutil.copytree(tiny_folder / "stages", tmp_path / "stages")
    (tmp_path / "stages" / "hpo" / "done.json").unlink()
    build(tmp_path, tiny_inputs)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes(), name


def test_a_finished_graph_is_left_alone_until_it_is_damaged(tmp_path):
    calls: list[str] = []
    first = build(tmp_path, [source("a", calls)])
    stamp = (tmp_path / "nodes.parquet").stat().st_mtime_ns
    assert build(tmp_path, [source("a", calls)]) == first
    assert (tmp_path / "nodes.parquet").stat().st_mtime_ns == stamp
    (tmp_path / "nodes.parquet").write_bytes(b"")
    assert build(tmp_path, [source("a", calls)]) == first and calls == ["a"]


def test_a_damaged_stage_is_read_again(tmp_path):
    calls: list[str] = []
    build(tmp_path, [source("a", calls)])
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "stages" / "a" / "nodes.parquet").write_bytes(b"")
    build(tmp_path, [source("a", calls)])
    assert calls == ["a", "a"]


def test_an_incomplete_source_is_read_again(tmp_path):
    calls: list[str] = []
    half = Extract("1", [node("MONDO:1", "disease", "x")], complete=False)
    build(tmp_path, [source("a", calls, half)])
    build(tmp_path, [source("a", calls)])
    assert calls == ["a", "a"]


def test_a_long_cycle_and_a_loop_are_broken_once(tmp_path):
    nodes = [node(f"MONDO:{n}", "disease", f"d{n}") for n in range(5)]
    edges = [edge(f"MONDO:{n}", "subtype_of", f"MONDO:{(n + 1) % 4}", "s") for n in range(4)]
    edges += [edge("MONDO:4", "subtype_of", "MONDO:4", "s"), edge("MONDO:4", "subtype_of", "MONDO:0", "s")]
    manifest = build(tmp_path, [source("a", [], Extract("1", nodes, edges))])
    assert manifest["edges_by_relation"] == {"subtype_of": 4}
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert reasons == ["both ends are the same node after joining", "closes a cycle"]


def test_an_unknown_source():
    with pytest.raises(UserError, match="unknown source nonsense; known are mondo"):
        packaged(["nonsense"])


def test_nothing_to_build(tmp_path):
    with pytest.raises(UserError, match="no source"):
        build(tmp_path, [])
