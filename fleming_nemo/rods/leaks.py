"""Words that would give an answer away: a finding must not repeat the name that it points to."""

import re
from functools import cache

# Words that occur in names of every kind and point to nothing.
_EMPTY_WORDS = frozenset(
    ("abnormal", "abnormality", "and", "congenital", "disease", "disorder", "first", "for", "from", "mild")
    + ("morphology", "recurrent", "second", "severe", "syndrome", "the", "type", "with")
)
_STEM_LENGTH = 5
_PART_LENGTH = 7


@cache
def _content_words(name: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[a-z]{3,}", name.lower()) if word not in _EMPTY_WORDS)


@cache
def leaks(finding: str, answer: str) -> bool:
    """Whether a content word of one name has the stem, or a long part, of a content word of the other.

    'cranial' gives 'cranium' away (stem of five letters), 'pansynostosis' 'craniosynostosis' (part of seven).
    """
    return any(
        one[:_STEM_LENGTH] in other or other[:_STEM_LENGTH] in one or _parts(one) & _parts(other)
        for one in _content_words(finding)
        for other in _content_words(answer)
    )


def _parts(word: str) -> set[str]:
    return {word[start : start + _PART_LENGTH] for start in range(len(word) - _PART_LENGTH + 1)}
