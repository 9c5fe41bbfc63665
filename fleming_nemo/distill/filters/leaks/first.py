"""The structural sign of a leak: the letter named in the first sentence, before any evidence."""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters.leaks.scored import NAME, OTHER, RIGHT, marked
from fleming_nemo.distill.reading.stance import denies, supposes
from fleming_nemo.distill.reading.text import HAN, folded, words

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
    r"|(?:答案|正确选项|正解)[^。，]{0,6}(?:是|为)|应选|正确的[是为]|(?:is|was) (?:the )?(?:correct|right) (?:answer|"
    r"option|choice)"
)
_ASSERTS = re.compile(
    rf"\b{RIGHT} (?:is|was|has to be|must be)(?: indeed| in fact| clearly| the)* (?:right|correct|true|answer|"
    rf"solution)\b"
    rf"|(?:答案|答复|解答|正解|正确选项)[^。,;]{{0,4}}(?:是|为|成|:) ?{RIGHT}|{RIGHT} ?(?:项|选项)?(?:是|为)?(?:正确|"
    rf"对)的?(?![^。,;])"
)
_DRAWN = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|overall|in conclusion|leaves?|leaving|means|makes)\b"
    r"|因此|所以|故|综上|可知|可见|于是"
)
_CALLED = re.compile(r"\b(?:correct|right|answer)\b|答案|正确|正解")
_COMMON_WORDS = (
    "which what that this with from have patient disease diagnosis likely most best question option options "
    "answer correct following there their these those does would could should gene drug fits given known "
    "recorded records record finding findings explain explains explained cause causes shown shows expected "
    "choose select present absent case"
)
_COMMON = frozenset(_COMMON_WORDS.split())
_VERDICT = re.compile(
    r"\b(?:answers?|conclusion|solution|pick|choice|choose|select|go(?:ing)? with|diagnosis|correct|right|verdict|"
    r"it is|it['’]s|is it|must be|has to be|the one|final\w*|bottom line|option|obvious\w*|clearly|settle|believe|"
    r"confident|no need|way to go|straight)\b"
    r"|选|答案|结论|正确|是对的|就是|诊断(?:为|是)|应为|毫无疑问|显然"
)
_FROM_FINDINGS = re.compile(
    r"\b(?:findings|features|signs|symptoms|clues|manifestations|picture|presentation) (?:that )?"
    r"(?:best |all |clearly )?(?:fit|match|suit|suggest|point|indicate|support|belong)"
    r"|(?:这些|上述|以上|该)?(?:表现|症状|体征|所见|特征)(?:均|都)?(?:符合|提示|支持|指向)"
)
"""A judgement on what was seen, however short: a step from the findings to the option, and no bare verdict."""
_FEW = 4
"""Words, or pairs of Han characters, that a bare verdict has beside the option."""


def letter_first(candidate: Candidate) -> bool:
    """The right letter, or its option called the answer, in the first sentence with nothing of the question before it.

    Also further on: a claim of the answer that comes before most of the evidence and is followed by more of it.
    """
    told = candidate.sentences
    if not told:
        return False
    first, letter = told[0], candidate.item.letter
    if len(first) <= _SHORT and _stands(letter, first) and not evidence(first, candidate):
        return True
    if _verdict(candidate, first):
        return True
    places = [at for at in (_letter(first, letter), _option(candidate, first)) if at is not None]
    if places and not evidence(first[: min(places)], candidate):
        return True
    early = told[: max(len(told) // 2, len(told) - 2)] if len(told) >= 4 else []
    if any(
        _claims(candidate, sentence) and not _reasoned(candidate, sentence, at) for at, sentence in enumerate(early)
    ):
        return True
    return any(_bare(candidate, sentence) for sentence in told[:-2])


def _verdict(candidate: Candidate, first: str) -> bool:
    """The right option alone, as text or letter, called the answer or with hardly a word beside it."""
    rest = marked(candidate, first)
    if RIGHT not in rest or OTHER in rest or NAME in rest or first.endswith(("?", "？")):
        return False
    rest = rest.replace(RIGHT, " ")
    if supposes(rest) or denies(rest) or evidence(rest, candidate) or _FROM_FINDINGS.search(rest):
        return False
    return bool(_VERDICT.search(rest)) or len(words(rest)) <= _FEW * (2 if HAN.search(rest) else 1)


def _bare(candidate: Candidate, sentence: str) -> bool:
    """The right letter alone, neither with its option nor with anything of the question, long before the end."""
    letter = candidate.item.letter
    if not _stands(letter, sentence) or _WEIGHS.search(folded(sentence)):
        return False
    named = candidate.entities.find(sentence)
    if any(m.key != letter or m.end - m.start > _LETTER_LENGTH for m in named) or supposes(sentence):
        return False
    return not evidence(sentence, candidate) and not denies(sentence)


def _stands(letter: str, sentence: str) -> bool:
    """The letter by itself, and not as the article."""
    found = re.search(rf"(?<![A-Za-z0-9]){letter}(?![A-Za-z'’-])", sentence)
    return found is not None and not (letter == "A" and re.match(r"A\s+[a-z]", sentence))


def _claims(candidate: Candidate, sentence: str) -> bool:
    """An unhedged "the answer is B" that gives no reason."""
    bare, said = candidate.entities.masked(sentence), marked(candidate, sentence)
    if supposes(bare) or denies(bare):
        return False
    if _ASSERTS.search(said) and OTHER not in said:
        return True
    if not _CLAIM.search(bare):
        return False
    named = {m.key for m in candidate.entities.find(sentence) if m.kind == "option"}
    letter = candidate.item.letter
    return (
        named == {letter}
        or bool(re.search(rf"(?:is|be|为|是|选)\W*{letter}(?![A-Za-z'’-])", sentence))
        and not named - {letter}
    )


def _reasoned(candidate: Candidate, sentence: str, place: int) -> bool:
    """A conclusion drawn from what came before it, or with evidence in the same sentence."""
    before = "\n".join(candidate.sentences[:place])
    drawn = _DRAWN.search(candidate.entities.masked(sentence)) and (
        candidate.entities.find(before) or evidence(before, candidate)
    )
    said = marked(candidate, sentence)
    return bool(drawn) or evidence(said, candidate) or NAME in said


def _letter(first: str, letter: str) -> int | None:
    found = re.search(f"{_BEFORE}|{_AFTER}".format(letter), first)
    return None if found is None else found.start()


def _option(candidate: Candidate, first: str) -> int | None:
    if not _CALLED.search(candidate.entities.masked(first)):
        return None
    mentions = [m for m in candidate.entities.find(first) if m.kind == "option"]
    return mentions[0].start if {m.key for m in mentions} == {candidate.item.letter} else None


def evidence(before: str, candidate: Candidate) -> bool:
    """Whether words of the question that carry content stand in the text."""
    low, question = folded(before), candidate.item.question
    content = set(re.findall(r"[^\W\d_]{4,}", folded(question))) - _COMMON
    pairs = {question[at : at + 2] for at in range(len(question) - 1) if "\u4e00" <= question[at] <= "\u9fff"}
    asked = re.split(r"[。；]", question)[-1] if "。" in question else ""
    telling = {pair for pair in pairs if pair not in asked and not re.search(r"[，。；：、患者]", pair)}
    return any(re.search(rf"\b{re.escape(w)}", low) for w in content) or sum(p in before for p in telling) >= 2
