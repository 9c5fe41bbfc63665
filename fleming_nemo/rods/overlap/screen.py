"""Which candidates could be convicted at all: bounds for all pairs of a chunk at once, so that few are read closely.

A bound never falls below the true value: shared words are looked up in a table of hashes where a chance collision adds
a word now and then. So no pair is lost that the verdict would convict; `tests/rods/overlap` holds both against each
other.
"""

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap import verdict as rules
from fleming_nemo.rods.overlap.candidates import Candidates
from fleming_nemo.rods.overlap.hashing import Ints, expand, summed
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.weighed import Weighed

_BITS = 22
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SLACK = 1e-4


class _Members:
    """Whether (owner, word) is in a set; says yes wrongly about once in a hundred."""

    def __init__(self, owner: Ints, word: Ints) -> None:
        self._table = np.zeros(1 << _BITS, bool)
        self._table[self._place(owner, word)] = True

    @staticmethod
    def _place(owner: Ints, word: Ints) -> Ints:
        mixed = (owner.astype(np.uint64) << np.uint64(32) | word.astype(np.uint64)) * _ODD
        return (mixed >> np.uint64(64 - _BITS)).astype(np.int64)

    def has(self, owner: Ints, word: Ints) -> NDArray[np.bool_]:
        return self._table[self._place(owner, word)]


def worth_judging(weighed: Weighed, found: Candidates, index: BenchmarkIndex) -> Ints:
    """Positions in `found` of the pairs that some rule of the verdict may convict, in order."""
    item, entry = found.item, found.entry
    certain = _passages(weighed, found, index) | found.same
    own = np.minimum(weighed.whole[item], index.weighed.whole[entry])
    certain |= (found.run >= rules.TELLING_QUESTION) & (found.run >= rules.RUN_SHARE * own - _SLACK)

    words = _Members(weighed.entry, weighed.id)
    shared = _shared(words, found, index)
    total, asked = weighed.total[item], index.weighed.total[entry]
    in_item, in_benchmark = shared / np.maximum(total, 1e-9), shared / np.maximum(asked, 1e-9)
    dice = 2 * shared / np.maximum(total + asked, 1e-9)
    options, inside = _options(weighed, words, found, index)
    likely = rules.possible(shared, in_item, in_benchmark, dice, _ratio(weighed, found, index), options, inside, asked)
    return np.flatnonzero(certain | likely)


def _passages(weighed: Weighed, found: Candidates, index: BenchmarkIndex) -> NDArray[np.bool_]:
    """Pairs that a long passage convicts: lengths as the verdict takes them, in characters of the raw text."""
    certain = np.zeros(len(found.item), bool)
    some = np.flatnonzero((found.letters > 0) | (found.context_letters > 0))
    columns, asked = weighed.columns, index.weighed.columns
    own = columns.question_chars[found.item[some]] + columns.context_chars[found.item[some]]
    for letters, chars in ((found.letters, asked.question_chars), (found.context_letters, asked.context_chars)):
        shorter = np.minimum(own, chars[found.entry[some]])
        certain[some] |= letters[some] > np.minimum(rules.LONG_PASSAGE, rules.PASSAGE_SHARE * shorter)
    return certain


def _shared(words: _Members, found: Candidates, index: BenchmarkIndex) -> NDArray[np.float64]:
    """Information of the words that both questions have."""
    asked = index.weighed
    rows, words_of = asked.by_question
    counts = rows[found.entry + 1] - rows[found.entry]
    owner = np.repeat(np.arange(len(counts)), counts)
    ids = words_of[expand(rows[found.entry], counts)]
    weights = np.where(words.has(found.item[owner], ids), asked.rarity.weights[ids], 0)
    return summed(owner, weights, len(counts))


def _ratio(weighed: Weighed, found: Candidates, index: BenchmarkIndex) -> NDArray[np.float64]:
    """How alike the letters can be at most, given their numbers; a tenth more, as numbers are written in many ways."""
    one = weighed.columns.question_letters[found.item]
    other = index.weighed.columns.question_letters[found.entry]
    return 2 * np.minimum(one, other) / np.maximum(one + other, 1) + 0.1


def _options(
    weighed: Weighed, words: _Members, found: Candidates, index: BenchmarkIndex
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the benchmark's options that have a word among the item's options, all words in the item's question."""
    columns, asked = weighed.columns, index.weighed
    own = _Members(columns.option_word_entry, weighed.option_ids)
    counts = asked.option_word_rows[found.entry + 1] - asked.option_word_rows[found.entry]
    places = expand(asked.option_word_rows[found.entry], counts)
    owner = np.repeat(np.arange(len(counts)), counts)
    ids, option = asked.option_ids[places], asked.option_of_word[places]
    fresh = np.flatnonzero((np.diff(option, prepend=-1) != 0) | (np.diff(owner, prepend=-1) != 0))
    if not len(fresh):
        return np.zeros(len(counts)), np.zeros(len(counts))
    item = found.item[owner]
    alike = np.logical_or.reduceat(own.has(item, ids), fresh)
    inside = np.logical_and.reduceat(words.has(item, ids), fresh)
    pair = owner[fresh]
    total = np.bincount(pair, minlength=len(counts))
    length = np.maximum(total, weighed.filled_options[found.item])
    length[(total == 1) | (weighed.filled_options[found.item] == 1)] = 1
    shares = (summed(pair, flags, len(counts)) for flags in (alike, inside))
    one, other = shares
    return one / np.maximum(length, 1), other / np.maximum(total, 1)
