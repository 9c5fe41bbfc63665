"""No sign that the teacher was told the answer; what counts as one stands in `leaks`."""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters.leaks import chinese, chinese_weights, english, english_weights
from fleming_nemo.distill.filters.leaks.first import evidence, letter_first
from fleming_nemo.distill.filters.leaks.scored import marked
from fleming_nemo.distill.reading.text import HAN


def leak(candidate: Candidate) -> str | None:
    for sentence in candidate.sentences:
        # Names are blanked, so that "known" or "label" in the name of an option is no cue.
        bare = candidate.entities.masked(sentence, "x1")
        if any(cue.search(bare) for cue in english.CUES):
            return "treats the answer as told"
        if HAN.search(bare):
            capital = re.sub(r"(?<![a-z0-9])[a-z](?![a-z0-9])", lambda m: m.group().upper(), bare)
            if any(cue.search(capital) for cue in chinese.CUES):
                return "treats the answer as told"
        weights = (chinese_weights if HAN.search(bare) else english_weights).WEIGHTS
        said = marked(candidate, sentence)
        grounded = evidence(said, candidate) or evidence(bare, candidate)
        if weights.leaks(said, grounded) or weights.speaks(said, grounded) and sentence not in candidate.sentences[-2:]:
            return "reasons from the answer"
    return "names the letter before any evidence" if letter_first(candidate) else None
