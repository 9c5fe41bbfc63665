"""Single questions prepared for a close comparison, made when first asked for: few questions ever come here."""

import re
from dataclasses import dataclass
from functools import cached_property

from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.folding import fold
from fleming_nemo.rods.overlap.weighed import Weighed

LETTERS_COMPARED = 4_000
_NO_LETTER = re.compile(r"[\W_]+")
# What is asked stands at the end.
_ASKED = 300
_NEGATIVE = re.compile(
    r"\b(?:not|except|excluding|apart from|least|false|incorrect|never|neither|contraindicated)\b|n't\b|不|错误|除",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")


def letters_of(text: str) -> str:
    """Letters and digits of a text, every number as one 0."""
    return _DIGITS.sub("0", _NO_LETTER.sub("", fold(text)))


@dataclass(frozen=True, slots=True)
class Option:
    """An option: hash of its letters, weights of its words, their sum in nats."""

    key: int
    words: dict[int, float]
    information: float


@dataclass
class Profile:
    """A question's entry, weights, letters and options; weights are information in nats."""

    entry: Entry
    words: dict[int, float]
    """Distinct words of the question and the greatest weight of each there."""
    whole: float
    """Weight of all words, repeated ones as often as they occur."""
    options: tuple[Option, ...]

    @cached_property
    def total(self) -> float:
        return sum(self.words.values())

    @cached_property
    def negative(self) -> bool:
        """Whether the question asks for what is not so, or for the least."""
        return bool(_NEGATIVE.search(self.entry.question[-_ASKED:]))

    @cached_property
    def letters(self) -> str:
        return letters_of(self.entry.question[: 3 * LETTERS_COMPARED])


class Profiles:
    """Profiles of the entries of one chunk."""

    def __init__(self, weighed: Weighed) -> None:
        self._weighed = weighed
        self._made: dict[int, Profile] = {}

    def __getitem__(self, number: int) -> Profile:
        if number not in self._made:
            weighed = self._weighed
            low, high = weighed.rows[number], weighed.rows[number + 1]
            words: dict[int, float] = {}
            for word, weight in zip(weighed.words[low:high].tolist(), weighed.weights[low:high].tolist(), strict=True):
                words[word] = max(weight, words.get(word, 0.0))
            entry = weighed.columns.entries[number]
            self._made[number] = Profile(entry, words, float(weighed.whole[number]), self._options(number))
        return self._made[number]

    def _options(self, number: int) -> tuple[Option, ...]:
        columns = self._weighed.columns
        made = []
        for row in range(self._weighed.option_rows[number], self._weighed.option_rows[number + 1]):
            low, high = columns.options.word_rows[row], columns.options.word_rows[row + 1]
            words, values = columns.options.words[low:high], self._weighed.option_weights[low:high]
            weights = dict(zip(words.tolist(), values.tolist(), strict=True))
            if weights:
                made.append(Option(int(columns.option_hash[row]), weights, sum(weights.values())))
        return tuple(made)
