"""The structural sign of a leak: the letter named in the first sentence, before any evidence."""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.text import folded

_BEFORE = (
    r"(?i:\b(?:answer|option|choice|choose|select|pick|letter|go with|mark|solution)\b)(?:\W+[a-z']+){{0,4}}?\W+\(?({0})(?![\w'’-])"
    r"|(?:选项?|选择|答案[^A-Z。]{{0,6}}|答)\s*[（(]?({0})(?![A-Za-z])"
)
_AFTER = (
    r"(?<![\w-])\(?({0})\)?\s*(?:[,:，：—-]\s*)?(?:[a-z']+\W+){{0,3}}?(?:correct|right|answer|best (?:option|choice|answer)|true)\b"
    r"|({0})\s*(?:选项|项)?[^。A-Z]{{0,4}}(?:正确|是答案|为答案|是对的|为正解|为正确)"
)
_CALLED = re.compile(r"\b(?:correct|right|answer)\b|答案|正确|正解")
_COMMON = frozenset(
    "which what that this with from have patient disease diagnosis likely most best question option options answer correct "
    "following there their these those does would could should gene drug fits".split()
)


def letter_first(candidate: Candidate) -> bool:
    """The right letter, or its option called the answer, in the first sentence with nothing of the question before it."""
    first = next(iter(candidate.sentences), "")
    places = [at for at in (_letter(first, candidate.item.letter), _option(candidate, first)) if at is not None]
    return bool(places) and not _evidence(first[: min(places)], candidate.item.question)


def _letter(first: str, letter: str) -> int | None:
    found = re.search(f"{_BEFORE}|{_AFTER}".format(letter), first)
    return None if found is None else found.start()


def _option(candidate: Candidate, first: str) -> int | None:
    if not _CALLED.search(candidate.entities.masked(first)):
        return None
    mentions = [m for m in candidate.entities.find(first) if m.kind == "option"]
    return mentions[0].start if {m.key for m in mentions} == {candidate.item.letter} else None


def _evidence(before: str, question: str) -> bool:
    """Whether words of the question that carry content stand in the text."""
    low = folded(before)
    content = set(re.findall(r"[^\W\d_]{4,}", folded(question))) - _COMMON
    pairs = {question[at : at + 2] for at in range(len(question) - 1) if "\u4e00" <= question[at] <= "\u9fff"}
    asked = re.split(r"[。；]", question)[-1] if "。" in question else ""
    telling = {pair for pair in pairs if pair not in asked and not re.search(r"[，。；：、患者]", pair)}
    return any(re.search(rf"\b{re.escape(w)}", low) for w in content) or sum(p in before for p in telling) >= 2
