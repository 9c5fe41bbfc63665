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
from fleming_nemo.rods.overlap.tables import Members
from fleming_nemo.rods.overlap.weighed import Weighed

_SLACK = 1e-4


def worth_judging(weighed: Weighed, found: Candidates, index: BenchmarkIndex) -> Ints:
    """Positions in `found` of the pairs that some rule of the verdict may convict, in order."""
    item, entry = found.item, found.entry
    certain = _passages(weighed, found, index) | found.same
    own = np.minimum(weighed.whole[item], index.weighed.whole[entry])
    certain |= (found.run >= rules.TELLING_QUESTION) & (found.run >= rules.RUN_SHARE * own - _SLACK)

    words = Members(weighed.entry, weighed.id)
    total, asked = weighed.total[item], index.weighed.total[entry]
    theirs = _shared(index.weighed, entry, words, item)
    ours = _shared(weighed, item, index.members, entry)
    in_item, in_benchmark = ours / np.maximum(total, 1e-9), theirs / np.maximum(asked, 1e-9)
    dice = 2 * in_item * in_benchmark / np.maximum(in_item + in_benchmark, 1e-9)
    shared = np.minimum(ours, theirs)
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


def _shared(side: Weighed, question: Ints, words: Members, other: Ints) -> NDArray[np.float64]:
    """Weight on one side of the words that both questions have; `words` are those of the other side."""
    rows, places = side.by_question
    counts = rows[question + 1] - rows[question]
    owner = np.repeat(np.arange(len(counts)), counts)
    place = places[expand(rows[question], counts)]
    weights = np.where(words.has(other[owner], side.id[place]), side.weight[place], 0)
    return summed(owner, weights, len(counts))


def _ratio(weighed: Weighed, found: Candidates, index: BenchmarkIndex) -> NDArray[np.float64]:
    """How alike the letters can be at most, given their numbers; a tenth more, as numbers are written in many ways."""
    one = weighed.columns.question_letters[found.item]
    other = index.weighed.columns.question_letters[found.entry]
    return 2 * np.minimum(one, other) / np.maximum(one + other, 1) + 0.1


def _options(
    weighed: Weighed, words: Members, found: Candidates, index: BenchmarkIndex
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the benchmark's options that have a word among the item's options, all words in the item's question."""
    columns, asked = weighed.columns, index.weighed
    own = Members(columns.option_word_entry, weighed.option_ids)
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
