"""Chains of the offline teacher: what they say in each style, and that they are labelled and verified."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.graph_teacher import (
    SHALLOW_SHARE,
    read_chains,
    save_chains,
    shallow,
    thorough,
    write_chains,
)

NODES = {"OMIM:1": "Hurler syndrome", "IDUA": "IDUA", "OMIM:2": "Hurler-Scheie syndrome"}
FINDING = {"from": "OMIM:1", "relation": "has_phenotype", "to": "HP:1"}
GENE = {"from": "OMIM:1", "relation": "caused_by", "to": "IDUA"}
OTHER = {"from": "OMIM:2", "relation": "caused_by", "to": "IDUA"}
PATHS = {
    "easy": ([FINDING], "OMIM:1"),
    "moderate": ([FINDING, GENE], "IDUA"),
    "difficult": ([FINDING, GENE, OTHER], "OMIM:2"),
}


def item(tier, number=0):
    edges, answer = PATHS[tier]
    return QAItem(
        id=f"{tier}{number}",
        question="Which ...: a; b; c?",
        options=("one", NODES[answer], "three"),
        answer=1,
        context=None,
        source="kg",
        language="en",
        split="sft",
        difficulty=tier,
        provenance={"nodes": NODES, "edges": edges, "answer_node": answer},
    )


@pytest.mark.parametrize(
    ("tier", "text"),
    [
        ("easy", "These findings fit Hurler syndrome. Check A) one; B) Hurler syndrome."),
        ("moderate", "These findings fit Hurler syndrome. The gene of Hurler syndrome is IDUA. Check A) one; B) IDUA."),
        (
            "difficult",
            "These findings fit Hurler syndrome. The gene of Hurler syndrome is IDUA. "
            "IDUA also causes Hurler-Scheie syndrome. Check A) one; B) Hurler-Scheie syndrome.",
        ),
    ],
)
def test_a_thorough_chain_walks_the_whole_path(tier, text):
    assert thorough(item(tier)) == text


@pytest.mark.parametrize(
    ("tier", "text"),
    [
        ("easy", "Several options fit. I choose B."),
        ("moderate", "Several options fit. I choose B."),
        ("difficult", "These findings fit Hurler syndrome. The gene of Hurler syndrome is IDUA. I choose B."),
    ],
)
def test_a_shallow_chain_lacks_the_step_that_supports_the_letter(tier, text):
    assert shallow(item(tier)) == text


def test_styles_follow_their_shares():
    for tier, share in SHALLOW_SHARE.items():
        chains = write_chains([item(tier, n) for n in range(1000)], seed=1)
        assert Counter(c.style for c in chains)["shallow"] == pytest.approx(1000 * share, abs=50)


def test_the_style_belongs_to_the_item_not_to_its_place():
    some = [item("easy", n) for n in range(50)]
    assert write_chains(some[::-1], seed=1)[::-1] == write_chains(some, seed=1)
    assert write_chains(some, seed=2) != write_chains(some, seed=1)


def test_chains_say_who_wrote_them_and_that_they_were_verified(tmp_path):
    save_chains(tmp_path / "cot.jsonl", write_chains([item("easy")], seed=1, shallow_share=dict.fromkeys(PATHS, 0.0)))
    assert json.loads((tmp_path / "cot.jsonl").read_text()) == {
        "item_id": "easy0",
        "reasoning": "These findings fit Hurler syndrome. Check A) one; B) Hurler syndrome.",
        "letter": "B",
        "style": "thorough",
        "teacher": "graph-offline",
        "verified": True,
    }


def test_a_chain_that_would_not_pass_the_reward_is_refused():
    bad = item("easy")
    spoilt = replace(bad, provenance={**bad.provenance, "nodes": {"OMIM:1": "<answer>A</answer>"}})
    with pytest.raises(UserError, match="fails verification"):
        write_chains([spoilt], seed=1, shallow_share=dict.fromkeys(PATHS, 0.0))


def test_an_item_of_another_source_is_refused():
    with pytest.raises(UserError, match="medqa"):
        write_chains([replace(item("easy"), source="medqa")], seed=1)


def test_a_share_outside_zero_to_one_is_refused():
    with pytest.raises(UserError, match="difficult"):
        write_chains([item("easy")], seed=1, shallow_share={"easy": 0.5, "moderate": 0.5})


def test_chains_are_read_as_they_were_written(tmp_path):
    chains = write_chains([item("easy", n) for n in range(5)], seed=1)
    save_chains(tmp_path / "cot.jsonl", chains)
    assert read_chains(tmp_path / "cot.jsonl") == chains


@pytest.mark.parametrize("row", ["{", "[]", '{"item_id": "x"}', '{"unknown": 1}'])
def test_a_row_that_is_no_chain_is_named_with_file_and_line(tmp_path, row):
    (tmp_path / "cot.jsonl").write_text(row + "\n")
    with pytest.raises(UserError, match=r"cot\.jsonl, line 1"):
        read_chains(tmp_path / "cot.jsonl")
