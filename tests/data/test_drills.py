"""Exercises for the nano base model: every one can be solved, and says how."""

import re
from collections import Counter

import pytest

from fleming_nemo.data.chat import IM_END, render_prompt, render_response
from fleming_nemo.data.drills import MAX_OPTIONS, drills
from fleming_nemo.data.items import QAItem
from fleming_nemo.reward.verify import Outcome, verify

NAMES = [
    f"{first}{second}" for first in ("velto", "dori manta", "quill", "ember") for second in ("", " sorrel", " tansy")
]
"""As many as the largest drill needs; some begin or end like others."""


@pytest.fixture(scope="module")
def made() -> list[tuple[QAItem, str]]:
    return list(drills(NAMES, 600, seed=1, split="train"))


def test_every_response_is_right(made: list[tuple[QAItem, str]]) -> None:
    for item, reasoning in made:
        assert isinstance(item.answer, int)
        text = render_response(reasoning, item.letter).removesuffix(IM_END)
        assert verify(text, len(item.options), item.answer, finished=True).outcome is Outcome.CORRECT
        assert reasoning.endswith(f"{item.letter}) {item.options[item.answer]}.")


def test_questions_can_be_answered_from_what_they_say(made: list[tuple[QAItem, str]]) -> None:
    """Solved by rules of the test's own, one for each kind of question."""
    for item, _ in made:
        assert solve(item.question) == item.options[int(item.answer)], item.question


def solve(question: str) -> str:
    if found := re.fullmatch(r"Which option is (.+)\?", question):
        return found[1]
    if found := re.fullmatch(r"Which is last: (.+)\?", question):
        return found[1].split("; ")[-1]
    if found := re.fullmatch(r"How many: (.+)\?", question):
        return str(len(found[1].split("; ")))
    found = re.fullmatch(r"Given: (.+)\. What has (the one that )?(.+?)( has)?\?", question)
    assert found is not None, question
    pairs = dict(pair.split(" has ") for pair in found[1].split("; "))
    return pairs[pairs[found[3]]] if found[2] else pairs[found[3]]


def test_kinds_options_and_letters_vary(made: list[tuple[QAItem, str]]) -> None:
    counts = Counter(len(item.options) for item, _ in made)
    assert set(counts) == set(range(2, MAX_OPTIONS + 1))
    letters = Counter(item.letter for item, _ in made)
    assert letters["A"] < 0.5 * len(made) and len(letters) == MAX_OPTIONS
    openings = Counter(item.question.split()[0] + item.question.split()[1] for item, _ in made)
    assert min(openings[k] for k in ("Whichoption", "Whichis", "Howmany:")) > 20


def test_the_same_seed_makes_the_same_drills(made: list[tuple[QAItem, str]]) -> None:
    assert list(drills(NAMES, 600, seed=1, split="train")) == made
    for seed, split in ((2, "train"), (1, "test")):
        others = drills(NAMES, 600, seed=seed, split=split)
        assert [render_prompt(item) for item, _ in others] != [render_prompt(item) for item, _ in made]


def test_ids_do_not_repeat(made: list[tuple[QAItem, str]]) -> None:
    ids = [item.id for split in ("train", "test") for item, _ in drills(NAMES, 50, 1, split)]
    assert len(set(ids)) == len(ids)
