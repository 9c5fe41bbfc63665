"""How alike two questions are: shared words weighted by rarity, letters in order, options in any order."""

from collections import Counter
from dataclasses import dataclass

from fleming_nemo.rods.overlap.profiles import LETTERS_COMPARED, Option, Profile, letters_of

_OPTION_ALIKE = 0.5
_INSIDE = 0.9
_TELLING_WORD = 1.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """Shares lie in 0..1, information is in nats."""

    shared: float
    """Information of the words in common."""
    in_item: float
    """Share of the training question's information that the benchmark question has too."""
    in_benchmark: float
    options: float
    """Share of options in common, counted on the longer list."""
    option_information: float

    @property
    def dice(self) -> float:
        if not self.in_item or not self.in_benchmark:
            return 0.0
        return 2 / (1 / self.in_item + 1 / self.in_benchmark)


def likeness(item: Profile, benchmark: Profile) -> Likeness:
    """Compare words and options, not yet letters. What a shared word says may differ, as it may be part of a phrase."""
    common = item.words.keys() & benchmark.words.keys()
    own, asked = (sum(map(side.words.__getitem__, common)) for side in (item, benchmark))
    options, information = _options(item.options, benchmark.options)
    return Likeness(
        shared=min(own, asked),
        in_item=own / item.total if item.total else 0.0,
        in_benchmark=asked / benchmark.total if benchmark.total else 0.0,
        options=options,
        option_information=information,
    )


def options_inside(item: Profile, benchmark: Profile) -> float:
    """Share of the benchmark's options that stand in the text of the training question, as in a pasted prompt."""
    texts = [letters for letters in map(letters_of, benchmark.entry.options) if len(letters) >= 3]
    return sum(text in item.letters for text in texts) / len(texts) if len(texts) >= 2 else 0.0


def _options(ours: tuple[Option, ...], theirs: tuple[Option, ...]) -> tuple[float, float]:
    if not ours or not theirs:
        return 0.0, 0.0
    left = Counter(option.key for option in theirs)
    exact = 0.0
    information = 0.0
    open_ours: list[Option] = []
    for option in ours:
        if left[option.key] > 0:
            left[option.key] -= 1
            exact += 1
            information += option.information
        else:
            open_ours.append(option)
    open_theirs = []
    for option in theirs:
        if left[option.key] > 0:
            left[option.key] -= 1
            open_theirs.append(option)
    pairs = sorted(
        (
            (value, -i, -j)
            for i, a in enumerate(open_ours)
            for j, b in enumerate(open_theirs)
            if not a.words.keys().isdisjoint(b.words) and (value := _overlap(a, b)) >= _OPTION_ALIKE
        ),
        reverse=True,
    )
    used_ours: set[int] = set()
    used_theirs: set[int] = set()
    for value, i, j in pairs:
        if i not in used_ours and j not in used_theirs:
            used_ours.add(i)
            used_theirs.add(j)
            exact += value
            information += value * min(open_ours[-i].information, open_theirs[-j].information)
    # An open question has its answer as the only option: it is enough that the other side offers it.
    count = 1 if 1 in (len(ours), len(theirs)) else max(len(ours), len(theirs))
    return min(1.0, exact / count), information


def _overlap(a: Option, b: Option) -> float:
    """Share of weight in common; nearly 1 for an option inside a longer one too: 'it is gout', 'gout (as seen)'."""
    shared = sum(min(weight, b.words[word]) for word, weight in a.words.items() if word in b.words)
    inside = _INSIDE * shared / min(a.information, b.information) if shared >= _TELLING_WORD else 0.0
    return max(2 * shared / (a.information + b.information), inside)


def letter_ratio(one: str, other: str) -> float:
    """Twice the longest common subsequence over both lengths (the `ratio` of fuzzy matchers), of 4,000 letters at most.

    Bit-parallel after Hyyro (2004): one addition of whole-number bit rows per letter.
    """
    one, other = one[:LETTERS_COMPARED], other[:LETTERS_COMPARED]
    if not one or not other:
        return 0.0
    where: dict[str, int] = {}
    for place, char in enumerate(one):
        where[char] = where.get(char, 0) | 1 << place
    mask = (1 << len(one)) - 1
    row = mask
    for char in other:
        hits = row & where.get(char, 0)
        row = ((row + hits) | (row - hits)) & mask
    return 2 * (len(one) - row.bit_count()) / (len(one) + len(other))
