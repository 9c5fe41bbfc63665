"""The longest passage that two items have in common, for the report: only removed items come here."""

import re
from difflib import SequenceMatcher

from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.folding import fold

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+?(?=[\u3040-\u30ff\u3400-\u9fff])|[^\W_]+")
_WORDS_COMPARED = 400
_SPAN_CHARS = 300


def matched_span(item: Entry, benchmark: Entry) -> str:
    """The longest common run of folded words of the questions, else of the contexts, else of the options."""
    pairs = (
        (item.question, benchmark.question),
        (item.context, benchmark.context),
        (item.question, benchmark.context),
        (item.context, benchmark.question),
        (" ".join(sorted(item.options)), " ".join(sorted(benchmark.options))),
    )
    runs = [_longest(one, other) for one, other in pairs if one and other]
    return max(runs, key=len, default="")[:_SPAN_CHARS]


def _longest(one: str, other: str) -> str:
    a, b = (_WORD.findall(fold(text[: 20 * _WORDS_COMPARED]))[:_WORDS_COMPARED] for text in (one, other))
    match = SequenceMatcher(None, a, b, autojunk=False).find_longest_match()
    return " ".join(a[match.a : match.a + match.size])
