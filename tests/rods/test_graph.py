"""Queries on a hand-made graph, and the counts and the worked example of the real release."""

import math


def test_a_disease_has_the_ancestors_of_what_it_is_annotated_with(toy):
    assert toy.matches(["HP:0004398"]) == {"OMIM:1", "ORPHA:2"}, "gastric ulcer is a peptic ulcer"
    assert toy.matches(["HP:0002592"]) == {"ORPHA:2"}, "a peptic ulcer need not be a gastric one"


def test_an_absent_finding_removes_the_diseases_that_have_it(toy):
    shared = ["HP:0004398", "HP:0000648"]
    assert toy.matches(shared) == {"OMIM:1", "ORPHA:2"}
    assert toy.matches(shared, absent=["HP:0000873"]) == {"OMIM:1"}


def test_looked_for_and_not_found_is_a_negative(toy):
    assert toy.diseases["OMIM:1"].negatives == {"HP:0000873"}, "0/16 without NOT"
    assert toy.diseases["OMIM:3"].negatives == {"HP:0000648"}, "NOT"
    assert not toy.has("OMIM:1", "HP:0000873")


def test_counts_of_several_references_add_up(toy):
    """1/4 under the old id and 5/6 under the new one make 6/10."""
    assert toy.diseases["OMIM:1"].findings["HP:0004398"].frequency.text == "6/10"


def test_a_frequency_that_is_not_stated_counts_as_none(toy):
    edge = toy.diseases["ORPHA:2"].findings["HP:0002592"]
    assert edge.frequency is None and edge.share == 0.0


def test_inheritance_has_short_names_and_no_qualifiers(toy):
    assert toy.diseases["OMIM:1"].modes == {"autosomal recessive"}
    assert toy.mendelian_modes == {"autosomal recessive"}


def test_genes(toy):
    assert toy.diseases["ORPHA:2"].genes == {"CISD2", "WFS1"}
    assert toy.diseases["OMIM:3"].genes == frozenset(), "'-' is no gene"
    assert toy.diseases_of_gene["CISD2"] == {"OMIM:1", "ORPHA:2"}


def test_rare_findings_carry_more_information(toy):
    assert toy.information_content("HP:0002592") == math.log2(3)
    assert toy.information_content("HP:0004398") == math.log2(3 / 2)
    assert toy.information_content("HP:0000007") == math.inf, "no disease has a mode of inheritance as a finding"


def test_the_pinned_release(graph):
    assert graph.version == "2025-01-16"
    assert len(graph.diseases) == 12_687 and len(graph.terms) == 19_034
    assert {"autosomal dominant", "autosomal recessive", "X-linked", "mitochondrial"} <= graph.mendelian_modes


def test_only_the_recorded_negative_tells_wolfram_syndrome_2_from_its_group(graph):
    present = ["HP:0000819", "HP:0000648", "HP:0000407", "HP:0004398"]
    genes = [graph.diseases[d].genes for d in graph.matches(present)]
    assert sorted(map(sorted, genes)) == [["CISD2"], ["CISD2", "WFS1"]]
    (left,) = graph.matches(present, absent=["HP:0000873"])
    assert graph.diseases[left].name == "Wolfram syndrome 2"
