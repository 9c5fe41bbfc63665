"""Graphs from tables: what is read, what is set aside, what is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.build import build
from fleming_nemo.rods.kg.plain import read_tables
from fleming_nemo.rods.kg.primekg import PRIMEKG
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.kg.tables_input import tables_input

NODES = "id,type,name,synonyms,name_zh\nMONDO:1,disease,One,eins|un,一\nHP:1,phenotype,Fever,,\n"
EDGES = "subject\trelation\tobject\tlow\thigh\tnegated\nMONDO:1\thas_phenotype\tHP:1\t0.1\t0.5\t\n"


def write(folder, **files):
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    return sorted(folder.iterdir())


def reasons(extract):
    return [(r.file, r.row, r.field) for r in extract.rejects.rows]


def test_nodes_and_edges(tmp_path):
    write(tmp_path, nodes_csv=NODES, edges_tsv=EDGES)
    build(tmp_path / "kg", [tables_input([tmp_path])])
    kg = KnowledgeGraph.load(tmp_path / "kg")
    assert kg.node(1).synonyms == ("eins", "un") and kg.node(1).name_zh == "一"
    assert kg.edge(0).evidence == ("edges.tsv:1",) and kg.edge(0).source == "edges"
    assert kg.edge(0).high == 0.5


def test_parquet(tmp_path):
    table = pa.table({"id": ["HP:1", ""], "type": ["phenotype"] * 2, "name": ["x", "y"], "synonyms": [["a"], None]})
    pq.write_table(table, tmp_path / "nodes.parquet")
    extract = read_tables([tmp_path / "nodes.parquet"])
    assert extract.nodes[0].synonyms == ("a",) and reasons(extract) == [("nodes.parquet", 2, "id")]


def test_bad_rows_are_set_aside(tmp_path):
    nodes = NODES + "MONDO:1,disease,Other,,\nno-curie,disease,x,,\nMONDO:2,illness,x,,\nMONDO:3,disease,,,\nMONDO:4\n"
    edges = EDGES + "".join(
        f"MONDO:1\t{rest}\n"
        for rest in ("cures\tHP:1\t\t\t", "has_phenotype\tHP:1\t2\t\t", "has_phenotype\tHP:1\t0.5\t0.1\t",
                     "has_phenotype\tHP:1\t\t\tperhaps", "has_phenotype\tHP 1\t\t\t", "has_phenotype\tHP:1\tnan\t\t")
    )  # fmt: skip
    extract = read_tables(write(tmp_path, nodes_csv=nodes, edges_tsv=edges))
    assert reasons(extract) == [
        ("edges.tsv", 2, "relation"), ("edges.tsv", 3, "low"), ("edges.tsv", 4, "low"), ("edges.tsv", 5, "negated"),
        ("edges.tsv", 6, "object"), ("edges.tsv", 7, "low"), ("nodes.csv", 3, "id"), ("nodes.csv", 4, "id"),
        ("nodes.csv", 5, "type"), ("nodes.csv", 6, "name"), ("nodes.csv", 7, "type"),
    ]  # fmt: skip
    assert len(extract.nodes) == 2 and len(extract.edges) == 1


def test_mixed_encodings_cost_only_their_row(tmp_path):
    (tmp_path / "n.csv").write_bytes(b"id,type,name\nHP:1,phenotype,Fi\xe8vre\nHP:2,phenotype,Fi\xc3\xa8vre\n")
    extract = read_tables([tmp_path / "n.csv"])
    assert [n.name for n in extract.nodes] == ["Fièvre"] and reasons(extract) == [("n.csv", 1, "name")]


def test_a_huge_cell(tmp_path):
    (tmp_path / "n.csv").write_text("id,type,name\nHP:1,phenotype," + "x" * (10 << 20) + "\n")
    extract = read_tables([tmp_path / "n.csv"])
    assert reasons(extract) == [("n.csv", 1, "name")] and len(extract.rejects.rows[0].raw) == 500


def test_dangling_edges_are_reported(tmp_path):
    write(tmp_path, nodes_csv=NODES, edges_tsv=EDGES + "MONDO:1\thas_phenotype\tHP:404\t\t\t\n")
    manifest = build(tmp_path / "kg", [tables_input([tmp_path])])
    assert manifest["rejects"]["by_reason"] == {"dangling edge: no such node": 1}


def test_wrong_columns_and_no_files(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="found the columns a, b; expected id, type, name"):
        read_tables([tmp_path / "x.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file"):
        tables_input([tmp_path / "empty"])
    with pytest.raises(UserError, match="no such file"):
        tables_input([tmp_path / "none.csv"])
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match="cannot be read"):
        read_tables([tmp_path / "x.parquet"])


D = ("1", "8099_12919", "disease", "grouped", "MONDO_grouped")
P = ("2", "1250", "effect/phenotype", "Seizure", "HPO")
R = ("3", "DB01", "drug", "Pill", "DrugBank")
PRIME_ROWS = [
    (*D[:1], *D[1:], "disease_phenotype_positive", "phenotype present", *P),
    (*P, "disease_phenotype_positive", "phenotype present", *D),
    (*D, "contraindication", "contraindication", *R),
    (*D, "disease_phenotype_negative", "phenotype absent", *P),
    (*D, "no_such", "x", *P),
    (*D, "indication", "x", "9", "1", "planet", "Mars", "NASA"),
]


def test_primekg(tmp_path):
    head = [*PRIMEKG[:5], "relation", "display_relation", *PRIMEKG[7:]]
    (tmp_path / "kg.csv").write_text("\n".join(",".join(row) for row in [head, *PRIME_ROWS]) + "\n")
    extract = read_tables([tmp_path / "kg.csv"])
    assert {n.id: n.type for n in extract.nodes} == {
        "MONDO:0008099": "disease", "HP:0001250": "phenotype", "DRUGBANK:DB01": "drug"
    }  # fmt: skip
    assert next(n for n in extract.nodes if n.type == "disease").identifiers == ("MONDO:0012919",)
    assert [(e.subject, e.relation, e.object, e.negated) for e in extract.edges] == [
        ("MONDO:0008099", "has_phenotype", "HP:0001250", False),
        ("DRUGBANK:DB01", "contraindicated_in", "MONDO:0008099", False),
        ("MONDO:0008099", "has_phenotype", "HP:0001250", True),
    ]
    assert reasons(extract) == [("kg.csv", 5, "relation"), ("kg.csv", 6, "y_type")]
