"""What a disease of the universe guarantees."""

from itertools import combinations

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.leaks import leaks
from fleming_nemo.rods.universe import build_universe


def test_size_and_groups(universe):
    assert len(universe.diseases) == 48
    assert all(len(diseases) >= 2 for diseases in universe.by_gene.values()), "every gene has another disease"
    assert len({disease.name for disease in universe.diseases}) == 48


def test_each_disease_has_one_gene_one_mode_and_a_profile(graph, universe):
    for disease in universe.diseases:
        record = graph.diseases[disease.id]
        assert record.genes == {disease.gene} and record.modes == {disease.mode}
        assert 8 <= len(disease.profile) <= 9
        assert all(record.findings[term_id].share >= 0.30 for term_id in disease.profile)
        assert not any(graph.related(a, b) for a, b in combinations(disease.profile, 2)), "an ancestor says nothing new"


def test_no_finding_gives_a_disease_of_the_gene_away(graph, universe):
    for disease in universe.diseases:
        for relative in universe.by_gene[disease.gene]:
            assert not any(leaks(graph.terms[t].name, relative.name) for t in disease.profile)


def test_names_are_short_and_split_cleanly(graph, universe):
    names = [d.name for d in universe.diseases] + [graph.terms[t].name for t in universe.findings]
    assert all(";" not in name and len(name.split()) <= 4 and len(name) <= 36 for name in names)


def test_diseases_overlap_so_that_distractors_are_near_misses(graph, universe):
    for disease in universe.diseases:
        others = [other for other in universe.diseases if other.id != disease.id]
        assert any(sum(graph.has(o.id, t) for t in disease.profile) >= 2 for o in others)


def test_every_disease_can_be_asked_about_often(graph, universe):
    for disease in universe.diseases:
        assert sum(graph.matches(s) == {disease.id} for s in combinations(disease.profile, 3)) >= 12


def test_the_size_is_a_parameter(graph):
    assert len(build_universe(graph, num_diseases=7).diseases) == 7


def test_too_large_a_universe_is_refused(graph):
    with pytest.raises(UserError, match="does not hold 500 diseases"):
        build_universe(graph, num_diseases=500)


@pytest.mark.parametrize(
    "sizes", [{"num_diseases": 1}, {"profile_size": 5}, {"findings_per_question": 1}, {"findings_per_question": 9}]
)
def test_sizes_that_make_no_sense_are_refused(graph, sizes):
    with pytest.raises(UserError, match="ask for"):
        build_universe(graph, **sizes)


@pytest.mark.parametrize(
    ("finding", "answer", "expected"),
    [
        ("Cranial nerve paralysis", "Craniosynostosis 4", True),
        ("Pansynostosis", "Craniosynostosis 4", True),
        ("Autoimmune hemolytic anemia", "Immunodeficiency 10", True),
        ("Optic atrophy", "Wolfram syndrome 1", False),
        ("Facial palsy syndrome", "Wolfram syndrome 1", False),
    ],
)
def test_leaks(finding, answer, expected):
    assert leaks(finding, answer) == leaks(answer, finding) == expected
