"""Words that would give an answer away: a finding must not repeat the name that it points to."""

import re
from functools import cache

# Words that occur in names of every kind and point to nothing.
_EMPTY_WORDS = frozenset(
    "abnormal abnormality and congenital disease disorder first for from mild morphology recurrent second severe "
    "syndrome the type with".split()
)
_STEM_LENGTH = 5


@cache
def _content_words(name: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[a-z]{3,}", name.lower()) if word not in _EMPTY_WORDS)


@cache
def leaks(finding: str, answer: str) -> bool:
    """Whether a content word of one name begins like, or is contained in, a content word of the other.

    Words are compared by their first five letters: 'cranial' gives 'cranium' away, and 'synostosis' 'craniosynostosis'.
    """
    return any(
        one[:_STEM_LENGTH] in other or other[:_STEM_LENGTH] in one
        for one in _content_words(finding)
        for other in _content_words(answer)
    )
