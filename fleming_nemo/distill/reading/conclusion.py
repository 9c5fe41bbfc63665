"""Which option a rationale says it ends at, and the rationale without saying so."""

import re

from fleming_nemo.distill.reading.entities import Entities
from fleming_nemo.distill.reading.stance import denies, supposes
from fleming_nemo.distill.reading.text import folded, sentences

_CONCLUDES = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|accordingly|in conclusion|in summary|overall|finally|leaves|leaving|"
    r"answer|conclu\w+|choose|choice|chosen|select\w*|pick|settle|go with|must be|final)\b"
    r"|答案|因此|所以|综上|故|选择|应选|应为|可知|结论|最终|从而|于是"
)
_CHOOSES = re.compile(
    r"\b(?:answer|choose|choice|chosen|select\w*|pick|option|conclu\w+|leaves|therefore|thus|hence|correct|"
    r"right|final\w*|settle|go with)\b"
    r"|答案|选|综上|因此|所以|故|应为|正确"
)


def concluding(sentence: str, entities: Entities) -> list[str]:
    """Letters that the sentence concludes with; empty when it concludes nothing."""
    low = folded(sentence)
    if not _CONCLUDES.search(low) or denies(entities.masked(sentence)) or supposes(entities.masked(sentence)):
        return []
    letters = entities.options_in(sentence)
    if letters:
        return letters
    last = re.search(r"(?<![\w-])([A-Z])(?![\w-])\W*$", sentence)
    known = last and ord(last.group(1)) - ord("A") < len(entities.item.options)
    return [last.group(1)] if last and known and _CHOOSES.search(low) else []


def conclusion(reasoning: str, entities: Entities) -> str | None:
    """Letter of the last sentence that concludes with one option; None when none does."""
    for sentence in reversed(sentences(reasoning)):
        letters = concluding(sentence, entities)
        if len(letters) == 1:
            return letters[0]
    return None


def without_conclusion(reasoning: str, entities: Entities) -> str:
    """The rationale without the sentences at its end that name the option chosen, for a judge to conclude by itself.

    A sentence goes when it chooses ("the answer is", 选) an option; the evidence before it stays as it was written.
    """
    kept = sentences(reasoning)
    while kept and concluding(kept[-1], entities) and _CHOOSES.search(folded(kept[-1])):
        kept.pop()
    kept = [s for s in kept if not (_states_letter(s) and concluding(s, entities))]
    return "\n".join(kept)


def _states_letter(sentence: str) -> bool:
    return bool(re.search(r"\banswer\b|答案|应选|故选", folded(sentence)))
