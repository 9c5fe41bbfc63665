"""The graph in memory: numbers, neighbours, and folders that are not whole."""

import numpy as np
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.records import edge, node
from fleming_nemo.rods.kg.store import in_memory, write_graph
from fleming_nemo.rods.kg.table import KnowledgeGraph

NODES = [node("D:2", "disease", "two"), node("P:1", "phenotype", "finding"), node("D:1", "disease", "one")]
NODES += [node("P:2", "phenotype", "wider"), node("P:3", "phenotype", "widest")]
EDGES = [
    edge("P:1", "is_a", "P:2", "s"),
    edge("P:2", "is_a", "P:3", "s"),
    edge("D:2", "has_phenotype", "P:1", "s", (), (0.25, 0.5)),
    edge("D:1", "has_phenotype", "P:2", "s", ("PMID:1",)),
    edge("D:1", "has_phenotype", "P:1", "s"),
    edge("D:1", "has_phenotype", "P:1", "t", (), None, True),
]


@pytest.fixture
def kg() -> KnowledgeGraph:
    return in_memory(NODES, EDGES)


def names(kg, numbers):
    return [kg.ids[number] for number in numbers]


def test_numbers_follow_the_ids(kg):
    assert kg.ids == ["D:1", "D:2", "P:1", "P:2", "P:3"] and kg.index["P:2"] == 3
    assert names(kg, kg.of_type("disease")) == ["D:1", "D:2"] and len(kg) == 5 and kg.num_edges == 6


def test_neighbours_leave_denials_out(kg):
    assert names(kg, kg.outgoing("has_phenotype").neighbours(0)) == ["P:1", "P:2"]
    assert names(kg, kg.outgoing("has_phenotype", negated=True).neighbours(0)) == ["P:1"]
    assert names(kg, kg.incoming("has_phenotype").neighbours(2)) == ["D:1", "D:2"]
    assert kg.outgoing("has_phenotype").degrees().tolist() == [2, 1, 0, 0, 0]
    assert kg.outgoing("no such relation").neighbours(0).size == 0


def test_edge_numbers_lead_to_bounds_and_evidence(kg):
    (number,) = kg.outgoing("has_phenotype").edges(1)
    assert (kg.low[number], kg.high[number]) == (0.25, 0.5) and kg.edge(number).subject == "D:2"
    number = kg.outgoing("has_phenotype").edges(0)[1]
    assert np.isnan(kg.low[number]) and kg.evidence(number) == ("PMID:1",)


def test_closure(kg):
    assert names(kg, sorted(kg.outgoing("is_a").closure(2))) == ["P:1", "P:2", "P:3"]
    assert names(kg, sorted(kg.incoming("is_a").closure(4))) == ["P:1", "P:2", "P:3"]


def test_contradicted_edges(kg):
    assert [kg.edge(n).source for n in np.flatnonzero(kg.contradicted)] == ["s", "t"]


def test_saved_and_loaded(kg, tmp_path):
    write_graph(tmp_path, NODES[::-1], EDGES[::-1], {"note": 1})
    loaded = KnowledgeGraph.load(tmp_path)
    assert [loaded.edge(n) for n in range(6)] == [kg.edge(n) for n in range(6)]
    assert loaded.manifest["nodes_by_type"] == {"disease": 2, "phenotype": 3} and loaded.manifest["note"] == 1


def test_a_damaged_or_missing_graph_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="run data_prep/build_kg.py"):
        KnowledgeGraph.load(tmp_path)
    write_graph(tmp_path, NODES, EDGES, {})
    (tmp_path / "edges.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="does not match"):
        KnowledgeGraph.load(tmp_path)


def test_a_dangling_edge_is_refused():
    with pytest.raises(UserError, match="field object"):
        in_memory(NODES, [edge("D:1", "has_phenotype", "P:404", "s")])
