"""Neither a bare letter nor a ramble. Counted in words, and Han characters as half a word each."""

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.text import HAN, words

FEWEST = 8
MOST = 6000


def length(candidate: Candidate) -> str | None:
    units = words(candidate.reasoning)
    han = sum(1 for unit in units if HAN.match(unit))
    size = len(units) - han / 2
    if size < FEWEST:
        return "too short"
    return "too long" if size > MOST else None
