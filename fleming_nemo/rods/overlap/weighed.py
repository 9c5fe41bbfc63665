"""A chunk of entries with the weights of its words: totals, distinct words, and what a question is looked up by."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.columns import Columns
from fleming_nemo.rods.overlap.hashing import U64, Ints, mix, summed
from fleming_nemo.rods.overlap.phrases import Phrases
from fleming_nemo.rods.overlap.rarity import Rarity
from fleming_nemo.rods.overlap.tokens import NUMBER, Tokens

_CONTENT = 1.5
_ODD = np.uint64(0xD6E8FEB86659FD93)


class Weighed:
    """Words as rows of the rarity table, so that weights and comparisons are plain lookups."""

    def __init__(self, columns: Columns, rarity: Rarity, phrases: Phrases) -> None:
        self.columns = columns
        self.rarity = rarity
        self.words = columns.spans.words[columns.question_words]
        self.ids = rarity.ids(self.words)
        self.weights = _told_once(
            phrases.weights(self.words, self.ids, columns.question_entry), columns.spans, columns.question_words
        )
        """Weight of every word where it stands."""
        count = len(columns.entries)
        self.rows = _rows(columns.question_entry, count)
        """Offsets: words of question q are words[rows[q]:rows[q + 1]]."""
        distinct, self.weight = _distinct(columns.question_entry, self.words, self.weights)
        self.entry, self.id = columns.question_entry[distinct], self.ids[distinct]
        """Parallel to `weight`: the distinct words of every question, each with its greatest weight there."""
        self.total = summed(self.entry, self.weight, count)
        """Weight of the distinct words of every question."""
        self.whole = summed(columns.question_entry, self.weights, count)
        """Weight of all words, repeated ones as often as they occur."""
        self.option_ids = rarity.ids(columns.options.words)
        self.option_weights = _told_once(
            phrases.weights(columns.options.words, self.option_ids, self.option_of_word),
            columns.options,
            np.arange(len(self.option_ids)),
        )
        self.option_rows = _rows(columns.option_entry, count)
        """Offsets: options of question q are option_rows[q]:option_rows[q + 1] of columns.options."""
        filled = np.flatnonzero(np.diff(columns.options.word_rows))
        self.filled_options = np.bincount(columns.option_entry[filled], minlength=count)
        """Per question the number of options with a word in them."""

    @cached_property
    def by_question(self) -> tuple[Ints, Ints]:
        """Offsets and positions: those of question q in `id` and `weight` are positions[offsets[q]:offsets[q + 1]]."""
        return _rows(self.entry, len(self.columns.entries)), np.argsort(self.entry, kind="stable")

    @cached_property
    def option_word_rows(self) -> Ints:
        """Offsets of the words of all options of a question in option_ids."""
        return _rows(self.columns.option_word_entry, len(self.columns.entries))

    @cached_property
    def option_of_word(self) -> Ints:
        """Per word of an option, the option's number in the chunk."""
        rows = self.columns.options.word_rows
        return np.repeat(np.arange(len(rows) - 1), np.diff(rows))


def _rows(owner: Ints, count: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=count)))).astype(np.int64)


def _told_once(weights: NDArray[np.float32], texts: Tokens, place: Ints) -> NDArray[np.float32]:
    """Chinese words overlap, so that a sign would be counted twice: such words count half."""
    overlap = np.flatnonzero(texts.word_ends[place[:-1]] > texts.word_starts[place[1:]])
    twice = np.zeros(len(place), bool)
    twice[overlap] = True
    twice[overlap + 1] = True
    weights[twice] /= 2
    return weights


def _distinct(owner: Ints, words: U64, weights: NDArray[np.float32]) -> tuple[Ints, NDArray[np.float32]]:
    """A position of every different (owner, word) and the greatest weight it has, ordered by the pairs alone."""
    keys = words ^ (owner.astype(np.uint64) * _ODD)
    order = np.argsort(keys)
    if not len(keys):
        return order, weights
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return order[first], np.maximum.reduceat(weights[order], first)


@dataclass(frozen=True, slots=True)
class Features:
    """What a question is looked up by: its distinct words, and pairs of neighbouring content words in either order."""

    keys: U64
    entry: Ints
    weights: NDArray[np.float32]
    total: NDArray[np.float64]
    """Per question the weight of all its features, those that no benchmark has too."""


def features_of(weighed: Weighed, most: int) -> Features:
    """Features that at most `most` benchmark questions share; a pair weighs as much as the mean of its words."""
    columns, rarity = weighed.columns, weighed.rarity
    entry, ids = columns.question_entry, weighed.ids
    weights = rarity.weights[ids]
    content = np.flatnonzero((weights > _CONTENT) & (weighed.words != NUMBER))
    first, second = content[:-1], content[1:]
    near = np.flatnonzero((entry[first] == entry[second]) & (second - first <= 3))
    first, second = first[near], second[near]
    value = (weights[first] + weights[second]) / 2
    rare = np.flatnonzero(rarity.counts[weighed.id] <= most)
    count = len(columns.entries)
    total = summed(entry[first], value, count)
    total += summed(weighed.entry[rare], rarity.weights[weighed.id[rare]], count)
    # A word that no benchmark has leads nowhere.
    found = np.flatnonzero((rarity.counts[ids[first]] > 0) & (rarity.counts[ids[second]] > 0))
    rare = rare[rarity.counts[weighed.id[rare]] > 0]
    first, second = first[found], second[found]
    return Features(
        keys=np.concatenate((rarity.keys[weighed.id[rare]], mix(weighed.words[first] + weighed.words[second]))),
        entry=np.concatenate((weighed.entry[rare], entry[first])),
        weights=np.concatenate((rarity.weights[weighed.id[rare]], value[found])).astype(np.float32),
        total=total,
    )
