"""Judge one response: does it follow the format, and is its answer the right letter?

The reward of Fleming-R1 is final-answer correctness inside the required format and nothing else (paper section 3.3).
Here format gates correctness: there is no partial credit for format alone, because in a group without a right answer
any such bonus becomes the whole advantage.

The one accepted form, where ``_`` is any run of spaces, tabs and line breaks::

    _<think>reasoning</think>_<answer>X</answer>_

* each of the four tags occurs exactly once, literally, in this order, and nothing that looks like one of them
  (``<Answer>``, ``< think >``, ``<answer id=1>``) occurs anywhere, so an answer can neither hide in the reasoning nor
  be hedged over several tags;
* the reasoning holds at least one visible letter or digit;
* X is one ASCII capital among the item's own letters;
* no chat control token follows, and generation stopped by itself.

Everything else is malformed: a doubtful response earns nothing. What a parser cannot see is reasoning without content
("hmm" before a guess); response length and the rollout viewer of the report are there for that.
All passes are linear in the length of the text.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BLANK = " \t\r\n"
# Possessive quantifiers (Python 3.11) keep "<" before a long run of blanks linear.
_TAG_LIKE = re.compile(r"[<＜]\s*+/?+\s*+(?:think|answer)", re.IGNORECASE)
_CONTROL_TOKEN = re.compile(r"<\|[^|<>\s]{1,64}\|>")
# Letters to Unicode, yet drawn as nothing: the four Hangul fillers.
_INVISIBLE_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")


class Outcome(StrEnum):
    """What became of a response. The values are what rollout and evaluation files hold."""

    CORRECT = "correct"
    WRONG = "wrong"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Verdict:
    """`letter` is set for CORRECT and WRONG only; `reason` comes from a small fixed set, so that it can be counted."""

    outcome: Outcome
    letter: str | None
    reason: str


def verify(response_text: str, num_options: int, answer_index: int, finished: bool) -> Verdict:
    """Judge `response_text`, the text after the prompt without the final end-of-turn token.

    `finished` says that the model ended its turn by itself; a response cut off by the length limit is TRUNCATED
    whatever it contains. Any text gives a verdict; only a label that fits no item (fewer than 2 or more than 26
    options, or an index beyond them) raises ValueError, since rewarding against it would train on noise.
    """
    if not 2 <= num_options <= len(ascii_uppercase):
        raise ValueError(f"a multiple-choice item has 2 to {len(ascii_uppercase)} options, not {num_options}")
    if not 0 <= answer_index < num_options:
        raise ValueError(f"answer index {answer_index} is not one of the {num_options} options")
    if not finished:
        return Verdict(Outcome.TRUNCATED, None, "no natural stop")
    fault, letter = _parse(response_text, ascii_uppercase[:num_options])
    if letter is None:
        return Verdict(Outcome.MALFORMED, None, fault)
    if letter == ascii_uppercase[answer_index]:
        return Verdict(Outcome.CORRECT, letter, "right option")
    return Verdict(Outcome.WRONG, letter, "wrong option")


def reward(verdict: Verdict) -> float:
    """The reward r(x, y) of equation 2: 1.0 for a correct, well-formed, finished response and 0.0 for any other."""
    return 1.0 if verdict.outcome is Outcome.CORRECT else 0.0


def _parse(text: str, letters: str) -> tuple[str, str | None]:
    """The first fault found and no letter, or no fault and the letter."""
    if _CONTROL_TOKEN.search(text):
        return "control token in the text", None
    for tag in _TAGS:
        if (found := text.count(tag)) != 1:
            return f"{'no' if found == 0 else 'several'} {tag}", None
    if sum(1 for _ in _TAG_LIKE.finditer(text)) != len(_TAGS):
        return "look-alike tag", None
    positions = [text.index(tag) for tag in _TAGS]
    if positions != sorted(positions):
        return "tags out of order", None
    before, reasoning, between, answer, after = re.split("|".join(_TAGS), text)
    if before.strip(_BLANK):
        return "text before <think>", None
    if not any(char.isalnum() and char not in _INVISIBLE_LETTERS for char in reasoning):
        return "empty reasoning", None
    if between.strip(_BLANK):
        return "text between </think> and <answer>", None
    if after.strip(_BLANK):
        return "text after </answer>", None
    if len(answer) != 1 or answer not in letters:
        return "not one of the item's letters", None
    return "", answer
