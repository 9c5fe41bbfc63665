"""The benchmark side of decontamination: everything that a training item is looked up in."""

from collections.abc import Mapping, Sequence

import numpy as np

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap.columns import columns_of
from fleming_nemo.rods.overlap.entries import Entry, entry_of
from fleming_nemo.rods.overlap.hashing import Ints, RangeHash, summed, unique_pairs, window_starts
from fleming_nemo.rods.overlap.phrases import Phrases
from fleming_nemo.rods.overlap.profiles import Profiles
from fleming_nemo.rods.overlap.rarity import Rarity
from fleming_nemo.rods.overlap.tables import HashIndex, Members
from fleming_nemo.rods.overlap.weighed import Weighed, features_of

WINDOW = 64
"""Letters of a long overlap, as HuatuoGPT-o1 uses; counted here after folding, without spaces and punctuation."""
GRAM = 8
"""Words of a shared n-gram; longer ones are runs of these."""
_WINDOW_INFORMATION = 26.0
_GRAM_INFORMATION = 16.0
_PLACE_BITS = 20


class BenchmarkIndex:
    """Lookup tables over the questions, contexts and options of all benchmarks.

    Windows and n-grams made of everyday exam words are left out: they are in questions that have nothing in common.
    """

    def __init__(self, benchmarks: Mapping[str, Sequence[QAItem | Entry]]) -> None:
        self.entries: list[Entry] = []
        self.benchmark: list[str] = []
        self.sizes = {name: len(items) for name, items in benchmarks.items()}
        for name, items in benchmarks.items():
            self.entries += [entry_of(item) for item in items]
            self.benchmark += [name] * len(items)
        columns = columns_of(self.entries)
        words = np.concatenate((columns.spans.words[columns.question_words], columns.options.words))
        owners = np.concatenate((columns.question_entry, columns.option_word_entry))
        self.rarity = Rarity(words, owners)
        self.most = max(40, len(self.entries) // 200)
        """A word in more questions than this selects too little to be looked up by."""
        option_text = np.repeat(np.arange(len(columns.option_hash)), np.diff(columns.options.word_rows))
        texts = np.concatenate((columns.question_entry, len(self.entries) + option_text))
        self.phrases = Phrases(words, texts, owners, self.rarity)
        self.weighed = weighed = Weighed(columns, self.rarity, self.phrases)
        self.members = Members(weighed.entry, weighed.id)
        self.profiles = Profiles(weighed)

        self.windows = HashIndex(*self._selective(*self._windows(), 1))
        self.grams = HashIndex(*self._selective(*self._grams(), _PLACE_BITS))
        features = features_of(weighed, self.most)
        once = unique_pairs(features.entry, features.keys)
        kept = once[_frequency(features.keys[once]) <= self.most]
        self.features = HashIndex(features.keys[kept], features.entry[kept])
        self.feature_total = summed(features.entry[kept], features.weights[kept], len(self.entries))

        rare = np.flatnonzero(_frequency(columns.option_hash) <= self.most)
        self.options = HashIndex(columns.option_hash[rare], columns.option_entry[rare])
        asked = np.flatnonzero(columns.question_hash)
        self.questions = HashIndex(columns.question_hash[asked], asked.astype(np.int64))

    def _selective(self, keys: np.ndarray, values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed values without the keys that more than one question in a thousand has: stock phrases."""
        once = unique_pairs(values >> bits, keys)
        stock, counts = np.unique(keys[once], return_counts=True)
        stock = stock[counts > max(8, len(self.entries) // 1000)]
        kept = ~np.isin(keys, stock)
        return keys[kept], values[kept]

    def _windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Long windows from the start of a word; the value packs entry and whether it is the entry's context."""
        columns, spans = self.weighed.columns, self.weighed.columns.spans
        starts, text = spans.long_runs(WINDOW)
        hashes = RangeHash(spans.letters).windows(WINDOW)[starts]
        weights = self.phrases.weights(
            spans.words,
            self.rarity.ids(spans.words),
            np.repeat(np.arange(len(spans.word_rows) - 1), np.diff(spans.word_rows)),
        )
        per_letter = np.bincount(spans.word_ends - 1, weights, minlength=len(spans.letters))
        sums = np.concatenate(([0.0], np.cumsum(per_letter)))
        informative = sums[starts + WINDOW] - sums[starts] >= _WINDOW_INFORMATION
        packed = columns.span_entry[text] << 1 | columns.span_is_context[text]
        return hashes[informative], packed[informative]

    def _grams(self) -> tuple[np.ndarray, np.ndarray]:
        """N-grams of the questions; the value packs entry and position of the first word within the question."""
        weighed = self.weighed
        starts = window_starts(weighed.rows, GRAM)
        hashes = RangeHash(weighed.words).windows(GRAM)[starts]
        sums = np.concatenate(([0.0], np.cumsum(weighed.weights, dtype=np.float64)))
        informative = sums[starts + GRAM] - sums[starts] >= _GRAM_INFORMATION
        owner = weighed.columns.question_entry[starts]
        packed = (owner << _PLACE_BITS) | (starts - weighed.rows[owner])
        return hashes[informative], packed[informative]


def _frequency(keys: np.ndarray) -> Ints:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse] if len(keys) else np.zeros(0, np.int64)
