"""When two questions count as the same: rules over the evidence of one pair.

A shared stem alone does not convict when it says little ('which of the following is true about gout?' opens many
questions), shared options alone neither (yes, no, maybe; the four nerves of the forearm). Together they do.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.likeness import (
    Likeness,
    letter_ratio,
    likeness,
    options_inside,
)
from fleming_nemo.rods.overlap.profiles import Profile

Floats = NDArray[np.float64]

# Information in nats: a rare medical word has 7 to 9, a function word less than 1. 200,000 items and 15,000 questions
# are 3e9 pairs, so that what one pair in e**22 shares by chance is shared by some pair.
_NO_CHANCE = 22.0
_STOCK_PHRASE = 8.0
_LEAST = 14.0
_SOME_OPTIONS = 16.0
_TELLING_OPTIONS = 30.0
_SAME_QUESTION = 18.0
TELLING_QUESTION = 30.0
_CONTAINED_QUESTION = 25.0
PASSAGE_SHARE = 0.35
RUN_SHARE = 0.4
LONG_PASSAGE = 300
# One finding or one drug in common may be that much of two short questions whose options have nothing in common.
_LONE_SHARE = 0.6
_SOME_CHOICE = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a training item counts as a copy of a benchmark question, and how sure that is (0..1)."""

    reason: str
    score: float
    question: float
    options: float


class Evidence(NamedTuple):
    """What the index found for a pair; fields as in Candidates."""

    letters: int = 0
    context_letters: int = 0
    run: float = 0.0
    same: bool = False


def judge(item: Profile, benchmark: Profile, evidence: Evidence) -> Verdict | None:
    """The verdict on a pair that the index proposed; None: two different questions."""
    like = likeness(item, benchmark)
    readable = evidence.same or _worth_reading(item, benchmark, like)
    ratio = letter_ratio(item.letters, benchmark.letters) if readable else 0.0
    supported = _supported(item, benchmark, like)
    # 'The most important sign' and 'the least important sign' are two questions.
    opposed = item.negative != benchmark.negative and like.options < 0.75
    reason = (
        _by_passage(item, benchmark, evidence, supported)
        or _by_letters(benchmark, like, evidence.same)
        or (None if opposed else _by_question(benchmark, like, ratio, supported))
        or (None if opposed else _by_options(like, ratio))
        or _by_containment(item, benchmark, like)
    )
    if reason is None:
        return None
    question = min(1.0, max(like.dice, ratio))
    return Verdict(reason, round(max(question, min(1.0, like.options)), 4), round(question, 4), round(like.options, 4))


def _worth_reading(item: Profile, benchmark: Profile, like: Likeness) -> bool:
    """Letters are compared only where they can decide, and never a vignette with one line."""
    short, long = sorted((len(item.letters), len(benchmark.letters)))
    return (like.dice >= 0.35 or like.options >= 0.6) and 3 * short >= long


def _supported(item: Profile, benchmark: Profile, like: Likeness) -> bool:
    """Whether the options speak for a copy, or do not speak at all since one side has none or a single one."""
    return like.options >= _SOME_CHOICE or min(len(item.options), len(benchmark.options)) < 2


def _by_passage(item: Profile, benchmark: Profile, evidence: Evidence, supported: bool) -> str | None:
    """A long passage convicts if it is a good part of the shorter text: all vignettes share their vital signs."""
    for letters, text in (
        (evidence.letters, benchmark.entry.question),
        (evidence.context_letters, benchmark.entry.context),
    ):
        shorter = min(len(text), len(item.entry.question) + len(item.entry.context))
        if letters > min(LONG_PASSAGE, (PASSAGE_SHARE if supported else _LONE_SHARE) * shorter):
            return "64 letters"
    share = evidence.run / max(min(benchmark.whole, item.whole), 1e-9)
    if evidence.run >= TELLING_QUESTION and share >= (RUN_SHARE if supported else _LONE_SHARE):
        return "word n-grams"
    return None


def _by_letters(benchmark: Profile, like: Likeness, same: bool) -> str | None:
    """The same letters, and half of the options where they say little: many ask for the 'features of gout'."""
    agreed = like.options >= 0.9 or (like.options >= 0.5 and benchmark.total >= _STOCK_PHRASE)
    return "same question" if same and (agreed or benchmark.total >= _SAME_QUESTION) else None


def _by_question(benchmark: Profile, like: Likeness, ratio: float, supported: bool) -> str | None:
    if like.dice >= 0.85 and like.shared >= TELLING_QUESTION:
        return "question"
    # Letters alone may be alike where one word is exchanged, and with it the subject.
    if ratio >= 0.85 and like.dice >= 0.5 and like.shared >= TELLING_QUESTION and supported:
        return "question"
    if ratio >= 0.95 and benchmark.total >= TELLING_QUESTION and supported:
        return "question"
    return None


def _by_options(like: Likeness, ratio: float) -> str | None:
    stem = max(like.dice, ratio)
    if stem >= 0.9 and like.options >= 0.9:
        return "question and options"
    if like.shared + like.option_information >= _NO_CHANCE:
        # Letters alone may only agree in the stock phrase: '... is seen in which pattern of inheritance?'
        told = (stem >= 0.6 and like.dice >= 0.5) or ratio >= 0.85
        if told and like.options >= 0.7 and like.option_information >= _SOME_OPTIONS:
            return "question and options"
        if (stem >= 0.9 and like.options >= 0.4) or (stem >= 0.8 and like.options >= 0.7):
            return "question and options"
    whole = max(like.in_item, like.in_benchmark) >= 0.9 and like.shared >= _STOCK_PHRASE
    if like.options >= 0.75 and like.option_information >= _SOME_OPTIONS and whole:
        return "part of the question and options"
    if like.options >= 0.9 and whole and like.shared + like.option_information >= _LEAST:
        return "part of the question and options"
    if like.options >= 0.9 and like.option_information >= _TELLING_OPTIONS and like.in_item >= 0.9:
        # What is left of the question is a stock phrase of the other: the vignette was cut off.
        return "part of the question and options"
    if like.options >= 0.75 and like.option_information >= _TELLING_OPTIONS and like.dice >= 0.5:
        return "options"
    return None


def _by_containment(item: Profile, benchmark: Profile, like: Likeness) -> str | None:
    if like.in_benchmark < 0.8 or like.in_item > 0.8:
        return None
    inside = benchmark.letters in item.letters
    if inside and benchmark.total >= _CONTAINED_QUESTION:
        return "question inside the text"
    if like.shared >= _STOCK_PHRASE and options_inside(item, benchmark) >= 0.6:
        return "question and options inside the text"
    return None


def possible(
    shared: Floats,
    in_item: Floats,
    in_benchmark: Floats,
    dice: Floats,
    ratio: Floats,
    options: Floats,
    inside: Floats,
    asked: Floats,
) -> NDArray[np.bool_]:
    """What the rules need, for many pairs at once: True where upper bounds of all measures leave a rule open."""
    readable = (dice >= 0.35) | (options >= 0.6)
    question = (dice >= 0.5) & (shared >= TELLING_QUESTION) & (np.maximum(dice, ratio) >= 0.85)
    letters = readable & (ratio >= 0.95) & (asked >= TELLING_QUESTION)
    part = (options >= 0.75) & (np.maximum(in_item, in_benchmark) >= 0.9)
    choices = (options >= 0.4) & ((dice >= 0.5) | (readable & (ratio >= 0.85)) | part)
    contained = (in_benchmark >= 0.8) & ((asked >= _CONTAINED_QUESTION) | ((inside >= 0.6) & (shared >= _STOCK_PHRASE)))
    return question | letters | choices | contained
