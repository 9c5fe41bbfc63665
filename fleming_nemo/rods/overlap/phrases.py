"""Words in the company of others: a stock phrase says little even if each of its words is rare.

'Autosomal recessive inheritance' is one piece of information and not three. A word that often follows the one before it
counts only for the surprise that is left: the logarithm of how many questions have the first word over how many have
both in a row.
"""

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.hashing import U64, Ints, mix, unique_pairs
from fleming_nemo.rods.overlap.rarity import Rarity
from fleming_nemo.rods.overlap.tables import KeyTable

# Two words in a row are a phrase when more benchmark questions than this have them; fewer may be copies of one another.
_QUESTIONS = 8
_ODD = np.uint64(0x2545F4914F6CDD1D)


class Phrases:
    """Pairs of neighbouring words that many benchmark questions have."""

    def __init__(self, words: U64, texts: Ints, questions: Ints, rarity: Rarity) -> None:
        """From the words of all benchmark questions and options in order, the text and the question of each."""
        self._rarity = rarity
        after = np.flatnonzero(texts[1:] == texts[:-1]) + 1
        pairs = _pairs(words, after)
        pairs, counts = np.unique(pairs[unique_pairs(questions[after], pairs)], return_counts=True)
        often = np.flatnonzero(counts > _QUESTIONS)
        self._table = KeyTable(pairs[often])
        self._counts = counts[often]

    def weights(self, words: U64, ids: Ints, texts: Ints) -> NDArray[np.float32]:
        """Weight of every word where it stands, in nats; `ids` are its rows in the rarity table."""
        weights = self._rarity.weights[ids]
        counts = self._rarity.counts[ids]
        often = counts > _QUESTIONS
        after = np.flatnonzero((texts[1:] == texts[:-1]) & often[1:] & often[:-1]) + 1
        rows = self._table.find(_pairs(words, after))
        after, rows = after[rows >= 0], rows[rows >= 0]
        surprise = np.log(np.maximum(counts[after - 1] / self._counts[rows], 1))
        weights[after] = np.minimum(weights[after], surprise)
        return weights


def _pairs(words: U64, after: Ints) -> U64:
    """A hash of every word number `after` and the one before it, in this order."""
    return mix(words[after - 1] * _ODD + words[after])
