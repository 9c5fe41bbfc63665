"""Loops: a stretch said again and again, sentences that return, text that is mostly its own copy.

Names of options and findings count as one word each: a comparison of twenty options names the same findings over
and over, and its sentences still differ in what they compare.
"""

import re
from collections import Counter

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.text import sentences, words

_LONGEST_PERIOD = 60
_GRAM = 12


def repetition(candidate: Candidate) -> str | None:
    units = words(candidate.entities.numbered(candidate.reasoning))
    if _loops(units):
        return "a stretch is repeated without a break"
    if _returning(candidate.reasoning):
        return "sentences are repeated"
    return "most of the text is a copy of itself" if _copied(units) > 0.35 else None


def _loops(units: list[str]) -> bool:
    """A run of at least three periods and ten units, or of two long periods. Linear in the text for each period."""
    for period in range(1, min(_LONGEST_PERIOD, len(units) // 2) + 1):
        run = 0
        for at in range(period, len(units)):
            run = run + 1 if units[at] == units[at - period] else 0
            if run >= 2 * period and run + period >= 10:
                return True
            if period >= 10 and run >= period:
                return True
    return False


def _returning(reasoning: str) -> bool:
    """Sentences of some length that occur again, word by word (numbers aside)."""
    said = [" ".join(words(re.sub(r"\d+", "0", s))) for s in sentences(reasoning)]
    said = [s for s in said if len(s.split()) >= 5]
    counts = Counter(said)
    if not said:
        return False
    copies = sum(len(s.split()) * (n - 1) for s, n in counts.items())
    return max(counts.values()) >= 3 or copies > 0.15 * sum(len(s.split()) for s in said)


def _copied(units: list[str]) -> float:
    """Share of the n-grams that occurred before, n = 12; 0 for a short text."""
    grams = [tuple(units[at : at + _GRAM]) for at in range(len(units) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) >= _GRAM else 0.0
