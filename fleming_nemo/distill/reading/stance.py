"""What a clause does with the things it names: affirms, denies, or only supposes.

Cue words by grammar, not phrases: a determiner ("no", "without", 没有) denies what follows it in its clause, a verb
("is not", "does not fit", 不支持) denies both sides, an excluding verb ("ruled out", 排除) denies unless it is itself
denied ("nothing speaks against it"). Suppositions ("suppose", "might", 假设) assert nothing.
"""

import re
from dataclasses import dataclass

from fleming_nemo.distill.reading.entities import Entities, Mention
from fleming_nemo.distill.reading.text import folded

_CLAUSE = re.compile(
    r"[|｜]|[;；]\s?(?=(?:there|it|however|no|nor|this|that|the|its)\b|但|而|没有|无)|[,，]?\s*\b(?:but|yet|"
    r"while|whereas|however|although|though|nevertheless|except|and (?=ha[sd]\b|lacks?\b|"
    r"there\b|leaves?\b|is\b|are\b|was\b|no\b|not\b|cannot\b|does\b|do\b))\b|[,，] (?=not\b|no\b|so\b|which\b|"
    r"as\b|because\b|since\b)"
    r"|[，,](?=\S)|(?<=[\u4e00-\u9fff])(?=但|却|而(?!非|且))"
)
_RIGHT = re.compile(
    r"\b(?:no|without|lack|lacks|lacked|lacking|absence of|free of|devoid of|neither|nor|missing|nothing|none|"
    r"negative for|"
    r"never|fails? to|failed to|hardly|denie[ds]|deny|exclud\w+|unlike|rather than|instead of|other than)\b"
    r"|没有|并无|未见|无(?!法|论|缺)|缺乏|缺少|不伴|不含|否认|未出现|未发现|不存在|不见|而非|并非|不是"
)
_LEFT = re.compile(
    r"\b(?:absent|missing|unexplained|unaccounted|lacking|negative)\b|\bn[o']t\b|\bcannot\b|n't\b|\bnever\b"
    r"|\bfails?\b|不(?:支持|符|成立|能|可|会|见|属|吻合|匹配|相符|一致|涉及|存在|明显)|无记录|阴性|缺如|"
    r"未(?:见|出现|被|记录)|无法|没有记录"
)
_BOTH = re.compile(
    r"\b(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|be|been) (?:\w+ ){0,2}?not\b|"
    r"\bcannot\b|n't\b|\bnot\b"
    r"|不(?!妨|仅|但|过|同)|未|没有|并无|并非|无法"
)
_EXCLUDES = re.compile(
    r"contradict|\bagainst\b|\bexclu|rul(?:e|es|ed|ing) \w{0,12} ?out|ruled out|str(?:ike|uck|ikes|iking)\b|"
    r"refut|eliminat|dismiss|\bdrop|discard|reject"
    r"|incompatible|inconsistent|disagree|mismatch|unlikely|implausible|fall(?:s)? (?:out|away|short)|"
    r"out of the question"
    r"|\bunlike\b|rather than|instead of|differ|distinguish|separat|argues? away|\bless\b|\bfewer\b|\bworse\b|"
    r"\bweaker\b"
    r"|排除|矛盾|反对|放弃|否定|剔除|不同于|区别|不支持|舍弃|不吻合|而非"
)
_NOT = re.compile(r"\b(?:no|not|nothing|none|never|cannot|neither|nor)\b|n't\b|没有|无法|并无|未|不(?!支持|吻合|同)|无")
_SUPPOSES = re.compile(
    r"\b(?:suppose|supposing|might|perhaps|maybe|if|assume|assuming|hypothes\w+|idea|imagine|consider|could|"
    r"candidate|tempting|"
    r"at first|tentativ\w+|whether|possib\w+|suspect\w*)\b|\?|？|假设|设想|若|如果|不妨|或许|可能|考虑|是否|初步|倘若"
)

_NEUTRAL = re.compile(
    r"\bwithout (?:a |any )?(?:gap|exception|doubt|contradiction|conflict|question|difficulty)s?\b|"
    r"\bno (?:doubt|longer|wonder)\b|\bnot only\b"
    r"|没有(?:缺口|例外|疑问|矛盾|疑义)|毫无疑问|无疑|不仅|不但|无一例外"
)
"""Negations that deny nothing."""


@dataclass(frozen=True, slots=True)
class Stance:
    """One mention and what its clause makes of it."""

    mention: Mention
    denied: bool
    clause: str


def supposes(sentence: str) -> bool:
    return bool(_SUPPOSES.search(folded(sentence)))


def excludes(sentence: str) -> bool:
    """Whether something is struck out here, and the striking out is not itself denied."""
    low = folded(sentence)
    return bool(_EXCLUDES.search(low)) and not _NOT.search(low)


def denies(sentence: str) -> bool:
    low = folded(sentence)
    return bool(_RIGHT.search(low) or _LEFT.search(low) or _BOTH.search(low) or _EXCLUDES.search(low))


def stances(sentence: str, entities: Entities) -> list[Stance]:
    """Every mention of the sentence with its polarity. Names are blanked before cues are looked for."""
    mentions = entities.find(sentence)
    low = folded(sentence)
    if len(low) == len(sentence):
        bare = list(low)
        for mention in mentions:
            bare[mention.start : mention.end] = "_" * (mention.end - mention.start)
        low = "".join(bare)
    low = _NEUTRAL.sub(lambda match: " " * len(match.group()), low)
    row = bool(re.search(r"[|｜]", sentence))  # a row of a table is about its option in all its cells
    found, start = [], 0
    for end in [*(m.start() for m in _CLAUSE.finditer(low) if m.end() > m.start() or m.start()), len(low)]:
        clause = low[start:end]
        inside = [m for m in mentions if start <= m.start < end]
        for m in inside:
            whole = row and m.kind == "option"
            text, shift = (low, 0) if whole else (clause, start)
            found.append(Stance(m, _denied(text, m.start - shift, m.end - shift, m.kind == "option"), text))
        start = end
    return found


def _denied(clause: str, start: int, end: int, option: bool) -> bool:
    """What is denied of an option may stand on either side of it: "X has no record", "no record of X"."""
    if _EXCLUDES.search(clause):
        return not _NOT.search(clause)
    before, after = clause[:start], clause[end:]
    if option and _RIGHT.search(after):
        return True
    return bool(_RIGHT.search(before) or _LEFT.search(after) or _BOTH.search(before) or _BOTH.search(after))
