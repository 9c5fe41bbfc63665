"""Leaks by weight of evidence, for wordings that nobody has listed: cues that add up around the answer.

The right option is marked in the sentence wherever it is named, by letter or by text. A clause leaks when it holds
something that stands for the answer (a topic) and enough cues of being told it, of justifying it or of the task around
it. The weights are set so that a topic that is no evidence by itself (the option's name) needs a strong cue, and the
plain word "answer" a medium one. Phrases that only look alike ("given the findings", "find the right answer") are
taken out first. What each language says for a cue stands in `english_weights` and `chinese_weights`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.text import folded

RIGHT, OTHER, NAME = "zright", "zother", "zname"
LIMIT = 4


@dataclass(frozen=True, slots=True)
class Weights:
    """Cue words of one language over a marked, folded sentence.

    Attributes:
        harmless: phrases that are taken out before anything is weighed.
        alone: enough by themselves.
        topics: what stands for the answer -> weight; the heaviest one found counts, the option's name on top of it.
        cues: what tells of foreknowledge -> weight; each counts once.
        clause: where a clause ends; a name counts only with cues of its own clause.
    """

    harmless: Sequence[re.Pattern[str]]
    alone: Sequence[re.Pattern[str]]
    topics: Mapping[re.Pattern[str], int]
    cues: Mapping[re.Pattern[str], int]
    clause: re.Pattern[str]

    def leaks(self, marked: str) -> bool:
        for phrase in self.harmless:
            marked = phrase.sub(" ", marked)
        if any(cue.search(marked) for cue in self.alone):
            return True
        whole = self._topic(marked)
        parts = [marked] if whole else [part for part in self.clause.split(marked) if part]
        return any(self._score(part) >= LIMIT for part in parts)

    def _topic(self, text: str) -> int:
        return max((weight for topic, weight in self.topics.items() if topic.search(text)), default=0)

    def _score(self, text: str) -> int:
        topic = self._topic(text) + (RIGHT in text)
        cues = sum(weight for cue, weight in self.cues.items() if cue.search(text))
        return topic + cues if topic and cues else 0


def marked(candidate: Candidate, sentence: str) -> str:
    """The folded sentence with the right option, the other ones and all other names replaced by marks."""
    letter, low = candidate.item.letter, folded(sentence)
    same = len(low) == len(sentence)
    text = sentence if same else low
    spans: dict[tuple[int, int], str] = {}
    for mention in candidate.entities.find(sentence):
        place = mention.start, mention.end
        mark = NAME if mention.kind != "option" else RIGHT if mention.key == letter else OTHER
        if spans.get(place) != RIGHT:
            spans[place] = mark
    for (start, end), mark in sorted(spans.items(), reverse=True):
        text = f"{text[:start]} {mark} {text[end:]}"
    if same:
        text = _LETTER.sub(lambda m: f" {RIGHT if m.group() == letter else OTHER} ", text)
    return re.sub(r"\s+", " ", folded(text)).replace(f"{RIGHT} {RIGHT}", RIGHT)


_LETTER = re.compile(
    r"(?<![A-Za-z0-9-])(?<!vitamin )(?<!hepatitis )(?<!type )(?<!group )(?<!factor )(?<!grade )(?<!class )"
    r"(?:[B-HJ-Z](?![A-Za-z0-9'’-])|A(?![A-Za-z0-9'’-])(?! [a-z]))(?! cells?)"
)
