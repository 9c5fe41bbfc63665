"""The structural sign of a leak: the letter named in the first sentence, before any evidence."""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.stance import denies, supposes
from fleming_nemo.distill.reading.text import folded

_BEFORE = (
    r"(?i:\b(?:answer|option|choice|choose|select|pick|letter|go with|mark|"
    r"solution)\b)(?:\W+[a-z']+){{0,4}}?\W+\(?({0})(?![\w'’-])"
    r"|(?:选项?|选择|答案[^A-Z。]{{0,6}}|正确(?:选项|答案|项)?[^A-Z。]{{0,3}}|正解[^A-Z。]{{0,3}}|"
    r"答)\s*[（(]?({0})(?![A-Za-z])"
)
_AFTER = (
    r"(?<![\w-])\(?({0})\)?\s*(?:[,:，：—-]\s*)?(?:[a-z']+\W+){{0,3}}?(?:correct|right|answer|best (?:option|"
    r"choice|answer)|true)\b"
    r"|({0})\s*(?:选项|项)?[^。A-Z]{{0,4}}(?:正确|是答案|为答案|是对的|为正解|为正确)"
)
_SHORT = 24
_LETTER_LENGTH = 10
"""Characters of "option B" at most: a longer mention is that of a name."""
_WEIGHS = re.compile(
    r"\b(?:therefore|thus|hence|likely|fits?|match\w*|support\w*|explain\w*|best|favou?r\w*|remains?|left|"
    r"compare|than|stays?|grade|type|vitamin|"
    r"hepatitis|group|factor|cells?)\b|符合|支持|因此|所以|最可能|解释|保留|比较|型|维生素|剩"
)
_CLAIM = re.compile(
    r"\b(?:answer|(?:correct|right) (?:option|choice|one|letter|diagnosis|"
    r"response))\b(?:\W+\w+){0,4}?\W+(?:is|are|must|should|has to)\b"
    r"|(?:答案|正确选项|正解)[^。，]{0,6}(?:是|为)|应选|(?:is|was) (?:the )?(?:correct|right) (?:answer|option|choice)"
)
_CALLED = re.compile(r"\b(?:correct|right|answer)\b|答案|正确|正解")
_COMMON = frozenset(
    [
        "which",
        "what",
        "that",
        "this",
        "with",
        "from",
        "have",
        "patient",
        "disease",
        "diagnosis",
        "likely",
        "most",
        "best",
        "question",
        "option",
        "options",
        "answer",
        "correct",
        "following",
        "there",
        "their",
        "these",
        "those",
        "does",
        "would",
        "could",
        "should",
        "gene",
        "drug",
        "fits",
    ]
)


def letter_first(candidate: Candidate) -> bool:
    """The right letter, or its option called the answer, in the first sentence with nothing of the question before it.

    Also further on: a claim of the answer that comes before most of the evidence and is followed by more of it.
    """
    told = candidate.sentences
    if not told:
        return False
    first, letter = told[0], candidate.item.letter
    if len(first) <= _SHORT and _stands(letter, first) and not _evidence(first, candidate):
        return True
    places = [at for at in (_letter(first, letter), _option(candidate, first)) if at is not None]
    if places and not _evidence(first[: min(places)], candidate):
        return True
    if any(_claims(candidate, sentence) for sentence in told[: len(told) // 2]) and len(told) >= 4:
        return True
    return any(_bare(candidate, sentence) for sentence in told[:-2])


def _bare(candidate: Candidate, sentence: str) -> bool:
    """The right letter alone, neither with its option nor with anything of the question, long before the end."""
    letter = candidate.item.letter
    if not _stands(letter, sentence) or _WEIGHS.search(folded(sentence)):
        return False
    named = candidate.entities.find(sentence)
    if any(m.key != letter or m.end - m.start > _LETTER_LENGTH for m in named) or supposes(sentence):
        return False
    return not _evidence(sentence, candidate) and not denies(sentence)


def _stands(letter: str, sentence: str) -> bool:
    """The letter by itself, and not as the article."""
    found = re.search(rf"(?<![A-Za-z]){letter}(?![A-Za-z'’-])", sentence)
    return found is not None and not (letter == "A" and re.match(r"A\s+[a-z]", sentence))


def _claims(candidate: Candidate, sentence: str) -> bool:
    """An unhedged "the answer is B" that gives no reason."""
    bare = candidate.entities.masked(sentence)
    if not _CLAIM.search(bare) or supposes(bare) or denies(bare):
        return False
    named = {m.key for m in candidate.entities.find(sentence) if m.kind == "option"}
    letter = candidate.item.letter
    return (
        named == {letter}
        or bool(re.search(rf"(?:is|be|为|是|选)\W*{letter}(?![A-Za-z'’-])", sentence))
        and not named - {letter}
    )


def _letter(first: str, letter: str) -> int | None:
    found = re.search(f"{_BEFORE}|{_AFTER}".format(letter), first)
    return None if found is None else found.start()


def _option(candidate: Candidate, first: str) -> int | None:
    if not _CALLED.search(candidate.entities.masked(first)):
        return None
    mentions = [m for m in candidate.entities.find(first) if m.kind == "option"]
    return mentions[0].start if {m.key for m in mentions} == {candidate.item.letter} else None


def _evidence(before: str, candidate: Candidate) -> bool:
    """Whether words of the question that carry content stand in the text."""
    low, question = folded(before), candidate.item.question
    content = set(re.findall(r"[^\W\d_]{4,}", folded(question))) - _COMMON
    pairs = {question[at : at + 2] for at in range(len(question) - 1) if "\u4e00" <= question[at] <= "\u9fff"}
    asked = re.split(r"[。；]", question)[-1] if "。" in question else ""
    telling = {pair for pair in pairs if pair not in asked and not re.search(r"[，。；：、患者]", pair)}
    return any(re.search(rf"\b{re.escape(w)}", low) for w in content) or sum(p in before for p in telling) >= 2
