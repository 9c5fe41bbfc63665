"""The form is the one the reward accepts, and the reasoning comes to an end."""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.reward.verify import Outcome

_ENDS = re.compile(r"[.!?。！？…:：][\"'”’）)\]*_」』]*$|[)）\]|｜*`]$")
_BREAKS = re.compile(r"(?:\.{3,}|…|[,，、;；])[\"'”’）)]*$")
_SHORT_ENDING = re.compile(r"(?:^|\n|[.。:：])[^\n.。]{0,60}$")
_CHOICE = re.compile(
    r"(?:answer|choose|choice|select|therefore|hence|conclusion|答案|选|故|所以|因此)[^.。\n]{0,60}[A-Z][)）*]*$",
    re.IGNORECASE,
)
_HANGING = re.compile(
    r"\b(?:the|a|an|of|and|or|but|with|for|in|to|is|are|was|that|which|because|by|as|no|not|from|on)$|"
    r"[的和与或在是为因但由]$"
)


def form(candidate: Candidate) -> str | None:
    if candidate.verdict.outcome in (Outcome.MALFORMED, Outcome.TRUNCATED):
        return candidate.verdict.reason
    return _unfinished(candidate.reasoning)


def _unfinished(reasoning: str) -> str | None:
    """Reasoning that was closed by its tag in the middle of a sentence."""
    if _BREAKS.search(reasoning) or _HANGING.search(reasoning):
        return "reasoning breaks off"
    if _ENDS.search(reasoning):
        return "a bracket stays open at the end" if _open(reasoning) else None
    # Without a final mark: only a closing choice ("Answer: B") counts as an end.
    chosen = _CHOICE.search(reasoning) and _SHORT_ENDING.search(reasoning) and not _open(reasoning)
    return None if chosen else "reasoning breaks off"


def _open(reasoning: str) -> bool:
    last = re.split(r"(?<=[.!?。！？])\s|\n", reasoning.strip())[-1]
    # "B)" labels an option and opens nothing, so only a surplus of opening brackets tells.
    return last.count("(") + last.count("（") > last.count(")") + last.count("）")
