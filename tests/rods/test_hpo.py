"""Parsers of the HPO release: what they read, and that a bad row is named by file, line and field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_release import GENES, HPOA, HPOA_HEADER, OBO

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.hpo import parse_annotations, parse_disease_genes, parse_frequency, parse_terms


def test_terms_are_live_and_know_their_parents():
    terms = parse_terms(OBO.splitlines())
    assert terms["HP:0002592"].parents == ("HP:0004398",)
    assert terms["HP:0004398"].alt_ids == ("HP:0004399",)
    assert "HP:0009999" not in terms, "obsolete"
    assert not any(term.name == "part of" for term in terms.values()), "a Typedef is no term"


def test_annotations_carry_version_negation_and_frequency():
    version, rows = parse_annotations(HPOA.splitlines())
    assert version == "2025-01-16"
    assert rows[0].frequency.share == 0.25 and rows[0].frequency.patients == 4
    assert rows[-1].negated


def test_an_unnamed_gene_is_dropped():
    assert parse_disease_genes(GENES.splitlines()) == (("OMIM:1", "CISD2"), ("ORPHA:2", "CISD2"), ("ORPHA:2", "WFS1"))


@pytest.mark.parametrize(
    ("text", "share"), [("16/16", 1.0), ("0/16", 0.0), ("76.3%", 0.763), ("HP:0040282", 0.30), ("HP:0040285", 0.0)]
)
def test_frequency_notations(text, share):
    assert parse_frequency(text).share == pytest.approx(share)


def test_no_frequency_is_none_not_zero():
    assert parse_frequency("") is None


@pytest.mark.parametrize("text", ["3/0", "5/4", "often", "101%", "-1/4", "HP:0040286", "1/2 "])
def test_a_frequency_that_makes_no_sense_is_refused(text):
    with pytest.raises(UserError, match="frequency"):
        parse_frequency(text)


@given(st.integers(1, 10**6).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_every_count_is_a_share_between_zero_and_one(count):
    part, whole = count
    frequency = parse_frequency(f"{part}/{whole}")
    assert 0 <= frequency.share <= 1 and frequency.patients == whole


GOOD = "OMIM:1\tFirst\t\tHP:0000648\tPMID:1\tPCS\t\t1/4\t\t\tP\tX"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (GOOD.replace("HP:0000648", "HP:648"), "hpo_id"),
        (GOOD.replace("1/4", "some"), "frequency"),
        (GOOD.replace("\tP\t", "\tQ\t"), "aspect"),
        (GOOD.replace("First\t\t", "First\tMAYBE\t"), "qualifier"),
        (GOOD.rsplit("\t", 1)[0], "biocuration"),
    ],
)
def test_a_malformed_row_is_named_by_file_line_and_field(row, field):
    with pytest.raises(UserError, match=rf"phenotype\.hpoa, line 3, field {field}"):
        parse_annotations((HPOA_HEADER + row).splitlines())


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_any_other_line_is_a_row_or_a_user_error(line):
    try:
        parse_annotations([*HPOA_HEADER.splitlines(), line])
    except UserError as error:
        assert "line 3" in str(error)


def test_a_file_without_a_version_cannot_be_named():
    with pytest.raises(UserError, match="#version"):
        parse_annotations(HPOA.splitlines()[1:])


def test_other_columns_are_refused():
    with pytest.raises(UserError, match=r"genes_to_phenotype\.txt, line 1: expected the columns"):
        parse_disease_genes(["gene_symbol\tdisease_id"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[Term]\nid: HP:0000001\n", "field name"),
        ("[Term]\nid: 1\nname: x\n", "field id"),
        ("[Term]\nid: HP:0000001\nname: x\nis_a: HP:0000002\n", "field is_a: HP:0000002"),
        ("[Term]\nid HP:0000001\n", "line 2"),
    ],
)
def test_a_malformed_term_is_refused(text, problem):
    with pytest.raises(UserError, match=problem):
        parse_terms(text.splitlines())
