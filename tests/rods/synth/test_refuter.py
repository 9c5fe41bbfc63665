"""The judge refutes spoilt questions: each mutation takes away one thing that a proof rests on."""

import copy

import pytest

FINDINGS = "findings-disease"


def pick(rows, family, usable=lambda row: True):
    return copy.deepcopy(next(r for r in rows if r["provenance"]["family"] == family and usable(r)))


def wrong_place(row):
    return (row["answer"] + 1) % len(row["options"])


@pytest.mark.parametrize(
    "family",
    [FINDINGS, "findings-disease-gene", "findings-disease-gene-disease", "disease-gene", "drug-mechanism",
     "drug-interaction", "variant-gene-disease-inheritance", "frequencies-disease"],
)  # fmt: skip
def test_another_answer_is_refuted(judge, rows, family):
    row = pick(rows, family)
    old, new = row["options"][row["answer"]], row["options"][wrong_place(row)]
    p = row["provenance"]
    moved = next(d for d in p["distractors"] if d["option"] == new)
    p["answer_node"], moved["node"], moved["option"] = moved["node"], p["answer_node"], old
    row["answer"] = wrong_place(row)
    assert any("right options" in reason for reason in judge.objections(row))


def test_fewer_findings_are_refuted(judge, rows):
    """One finding fits many diseases."""
    row = pick(rows, FINDINGS, lambda r: len(r["provenance"]["clues"]) >= 3)
    row["provenance"]["clues"] = row["provenance"]["clues"][:1]
    assert any("diagnoses that fit" in reason for reason in judge.objections(row))


def test_a_dropped_negative_is_refuted(judge, rows):
    refuted = 0
    for row in rows:
        p = row["provenance"]
        if p["family"].startswith("findings") and any(not c["present"] for c in p["clues"]):
            spoilt = copy.deepcopy(row)
            spoilt["provenance"]["clues"] = [c for c in p["clues"] if c["present"]]
            refuted += bool(judge.objections(spoilt))
    assert refuted, "no negative finding decides anything"


def test_a_present_finding_told_as_absent_is_refuted(judge, rows):
    row = pick(rows, FINDINGS)
    row["provenance"]["clues"][0]["present"] = False
    assert any("not recorded as absent" in reason for reason in judge.objections(row))


def test_a_second_right_option_is_refuted(judge, rows):
    row = pick(rows, "drug-mechanism-drug")
    p = row["provenance"]
    ends = judge.ends(p["path"][0], [("has_mechanism", ">", "mechanism"), ("has_mechanism", "<", "drug")])
    twin = next(n for n in sorted(ends) if judge.name[n] not in row["options"])
    row["options"][wrong_place(row)], old = judge.name[twin], row["options"][wrong_place(row)]
    next(d for d in p["distractors"] if d["option"] == old).update(option=judge.name[twin], node=twin)
    assert any("right options" in reason for reason in judge.objections(row))


def test_a_swapped_band_is_refuted(judge, rows):
    row = pick(rows, "frequencies-disease")
    clue = row["provenance"]["clues"][0]
    clue["band"] = {"often": "seldom", "seldom": "often"}[clue["band"]]
    assert any("does not have this frequency" in reason for reason in judge.objections(row))


def test_the_hidden_diagnosis_in_the_stem_is_refuted(judge, rows):
    row = pick(rows, "findings-disease-gene", lambda r: r["language"] == "en")
    row["question"] += " " + row["provenance"]["nodes"][row["provenance"]["masked"][0]]
    assert any("names the masked" in reason for reason in judge.objections(row))


def test_an_option_in_the_stem_is_refuted(judge, rows):
    row = pick(rows, FINDINGS, lambda r: r["language"] == "en")
    row["question"] += " " + row["options"][0]
    assert any("holds the option" in reason for reason in judge.objections(row))


def test_an_unrefuted_neighbour_as_option_is_refuted(judge, rows):
    """An option that all findings fit, as an exact copy of the answer's record would."""
    row = pick(rows, FINDINGS, lambda r: all(c["present"] for c in r["provenance"]["clues"]))
    p = row["provenance"]
    node = p["distractors"][0]["node"]
    for clue in p["clues"]:
        judge.annotated[clue["own"]].add(node)
    cache, judge._cache = judge._cache, {}
    try:
        reasons = judge.objections(row)
    finally:
        for clue in p["clues"]:
            if clue["own"] not in judge.findings[node]:
                judge.annotated[clue["own"]].discard(node)
        judge._cache = cache
    assert any("not refuted" in reason for reason in reasons) and any("diagnoses that fit" in r for r in reasons)


def test_invented_provenance_is_refuted(judge, rows):
    row = pick(rows, "findings-disease-gene")
    row["provenance"]["edges"][-1]["to"] = "G:999"
    assert any("no such edge" in reason for reason in judge.objections(row))
    row = pick(rows, FINDINGS)
    row["provenance"]["edges"][0]["low"] = 0.123
    assert any("wrong frequency" in reason for reason in judge.objections(row))
