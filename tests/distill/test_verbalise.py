"""The graph teacher's words: every family, style and language; facts of the proof only; the same for the same seed."""

import random
from string import Formatter

import pytest
from planted import response

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters import first_fault
from fleming_nemo.distill.judges import graph_judge
from fleming_nemo.distill.proof import proof_of
from fleming_nemo.distill.verbalise import STYLES, verbalise
from fleming_nemo.distill.wording import GLUE, PHRASES


def slots(ways):
    return {name for way in ways for _, name, _, _ in Formatter().parse(way) if name}


def test_both_languages_say_the_same_things_about_the_same_things():
    assert PHRASES["en"].keys() == PHRASES["zh"].keys() and GLUE["en"].keys() == GLUE["zh"].keys()
    for key, ways in PHRASES["en"].items():
        assert slots(ways) == slots(PHRASES["zh"][key]), key


def test_every_style_passes_every_filter_for_every_family_and_language(items):
    seen = set()
    for item in items:
        proof = proof_of(item)
        for style in STYLES:
            if (proof.family, item.language, style) in seen:
                continue
            seen.add((proof.family, item.language, style))
            candidate = Candidate(item, response(verbalise(proof, style, random.Random(1)), item.letter))
            assert first_fault(candidate) is None, candidate.reasoning
            assert graph_judge(candidate).reason is None, candidate.reasoning
    assert len({family for family, _, _ in seen}) >= 8 and {language for _, language, _ in seen} == {"en", "zh"}


def test_styles_differ_and_a_seed_repeats_itself(items):
    proof = proof_of(items[0])
    said = {style: verbalise(proof, style, random.Random(3)) for style in STYLES}
    assert len(set(said.values())) == len(STYLES) >= 5
    assert all(verbalise(proof, style, random.Random(3)) == text for style, text in said.items())
    assert verbalise(proof, "forward", random.Random(4)) != said["forward"] or len(proof.rivals) == 1


def test_the_evidence_of_every_finding_and_every_bridge_is_named(items):
    for item in items[:150]:
        proof = proof_of(item)
        for style in STYLES:
            text = verbalise(proof, style, random.Random(5)).casefold()
            assert all(clue.text.casefold() in text for clue in proof.clues)
            assert all(bridge.casefold() in text for bridge in proof.bridges)


@pytest.mark.parametrize("key", ["path", "clues", "distractors"])
def test_a_damaged_provenance_is_a_user_error(items, key):
    from dataclasses import replace

    from fleming_nemo.config.errors import UserError

    spoilt = {name: value for name, value in items[0].provenance.items() if name != key}
    with pytest.raises(UserError, match=items[0].id):
        proof_of(replace(items[0], provenance=spoilt))
