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
from fleming_nemo.distill.reading.entities import Mention
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
        clause: where a clause ends; the option's name adds up with weaker cues of its own clause only.
        person: who speaks of the work instead of the case.
        looks: what such a speaker may say of an option while weighing it, and words of evidence.
        clinical: words of the case; a statement about them is medicine, however the option is named in it.
    """

    harmless: Sequence[re.Pattern[str]]
    alone: Sequence[re.Pattern[str]]
    topics: Mapping[re.Pattern[str], int]
    cues: Mapping[re.Pattern[str], int]
    clause: re.Pattern[str]
    person: re.Pattern[str]
    looks: re.Pattern[str]
    clinical: re.Pattern[str]

    def speaks(self, marked: str, grounded: bool) -> bool:
        """Somebody speaks of the right option alone and names no evidence: "my role is to defend it"."""
        if grounded or self.clinical.search(marked) or RIGHT not in marked or OTHER in marked or NAME in marked:
            return False
        return bool(self.person.search(marked)) and not self.looks.search(marked)

    def leaks(self, marked: str, grounded: bool) -> bool:
        """`grounded` says that the sentence holds words of the question."""
        for phrase in self.harmless:
            marked = phrase.sub(" ", marked)
        if any(cue.search(marked) for cue in self.alone):
            return True
        topic = self._topic(marked)
        if topic >= LIMIT / 2:
            return self._score(marked) >= LIMIT
        if grounded or self.clinical.search(marked):
            return False
        if topic and RIGHT in marked and self._score(marked) >= LIMIT:
            return True
        strong = max(
            (weight for cue, weight in self.cues.items() if weight >= LIMIT - 1 and cue.search(marked)), default=0
        )
        return any(
            (RIGHT in part or self._topic(part)) and max(strong + 1, self._score(part)) >= LIMIT
            for part in self.clause.split(marked)
        )

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
        place = _letter_in(text, mention) if mention.kind == "option" and same else (mention.start, mention.end)
        mark = NAME if mention.kind != "option" else RIGHT if mention.key == letter else OTHER
        if spans.get(place) != RIGHT:
            spans[place] = mark
    for (start, end), mark in sorted(spans.items(), reverse=True):
        text = f"{text[:start]} {mark} {text[end:]}"
    if same:
        text = _LETTER.sub(lambda m: f" {RIGHT if m.group() == letter else OTHER} ", text)
    return re.sub(r"\s+", " ", folded(text)).replace(f"{RIGHT} {RIGHT}", RIGHT)


def _letter_in(text: str, mention: Mention) -> tuple[int, int]:
    """Of "answer B" only the letter is the option; a name is one as a whole."""
    said = text[mention.start : mention.end]
    letter = _LETTER.search(said)
    if letter is None or not _CALLER.fullmatch(said[: letter.start()]):
        return mention.start, mention.end
    return mention.start + letter.start(), mention.start + letter.end()


_CALLER = re.compile(r"(?:option|choice|answer|选项|选择|选|答案(?:是|为)?)\s*[(（]?", re.IGNORECASE)
_LETTER = re.compile(
    r"(?<![A-Za-z0-9-])(?<!vitamin )(?<!hepatitis )(?<!type )(?<!group )(?<!factor )(?<!grade )(?<!class )"
    r"(?:[B-HJ-Z](?![A-Za-z0-9'’-])|A(?![A-Za-z0-9'’-])(?! [a-z]))(?! cells?)"
)
