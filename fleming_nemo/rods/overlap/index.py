"""The benchmark side of decontamination: everything that a training item is looked up in."""

from collections.abc import Mapping, Sequence

import numpy as np

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap.columns import Columns, columns_of, features_of
from fleming_nemo.rods.overlap.compare import Profile, Profiles
from fleming_nemo.rods.overlap.entries import Entry, entry_of
from fleming_nemo.rods.overlap.hashing import HashIndex, Ints, RangeHash, unique_pairs, window_starts
from fleming_nemo.rods.overlap.rarity import Rarity

WINDOW = 64
"""Letters of a long overlap, as HuatuoGPT-o1 uses; counted here after folding, without spaces and punctuation."""
GRAM = 8
"""Words of a shared n-gram; longer ones are runs of these."""
_WINDOW_INFORMATION = 26.0
_GRAM_INFORMATION = 16.0
_PLACE_BITS = 20
_CHUNK = 4096


class BenchmarkIndex:
    """Lookup tables over the questions, contexts and options of all benchmarks.

    Windows and n-grams made of everyday exam words are left out: they are in questions that have nothing in common.
    """

    def __init__(self, benchmarks: Mapping[str, Sequence[QAItem | Entry]]) -> None:
        self.entries: list[Entry] = []
        self.benchmark: list[str] = []
        for name, items in benchmarks.items():
            self.entries += [entry_of(item) for item in items]
            self.benchmark += [name] * len(items)
        chunks = [columns_of(self.entries[at : at + _CHUNK]) for at in range(0, len(self.entries), _CHUNK)]
        first = [at for at in range(0, len(self.entries), _CHUNK)]
        pairs = list(zip(chunks, first, strict=True))
        words = [part for c in chunks for part in (c.spans.words[c.question_words], c.options.words)]
        owners = [part + at for c, at in pairs for part in (c.question_entry, c.option_word_entry)]
        self.rarity = Rarity(_joined(words, np.uint64), _joined(owners, np.int64))
        self.most = max(40, len(self.entries) // 100)
        """A word in more questions than this selects too little to be looked up by."""

        windows = [self._windows(c, at) for c, at in pairs]
        self.windows = HashIndex(*self._selective(windows, 1))
        grams = [self._grams(c, at) for c, at in pairs]
        self.grams = HashIndex(*self._selective(grams, _PLACE_BITS))
        features = [features_of(c, self.rarity, self.most) for c in chunks]
        owner = _joined([f.entry + at for f, at in zip(features, first, strict=True)], np.int64)
        keys = _joined([f.keys for f in features], np.uint64)
        kept = np.flatnonzero(_frequency(keys) <= self.most)
        self.features = HashIndex(keys[kept], owner[kept])
        weights = _joined([f.weights for f in features], np.float32)
        self.feature_total = np.bincount(owner[kept], weights[kept], minlength=len(self.entries))

        hashes = _joined([c.option_hash for c in chunks], np.uint64)
        option_owner = _joined([c.option_entry + at for c, at in pairs], np.int64)
        rare = np.flatnonzero(_frequency(hashes) <= self.most)
        self.options = HashIndex(hashes[rare], option_owner[rare])
        whole = _joined([c.question_hash for c in chunks], np.uint64)
        asked = np.flatnonzero(whole)
        self.questions = HashIndex(whole[asked], asked.astype(np.int64))

        self._profiles = [Profiles(c, self.rarity) for c in chunks]

    def _selective(self, parts: list[tuple[np.ndarray, np.ndarray]], bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed values without the keys that more than one question in a thousand has: stock phrases."""
        keys, values = _joined([k for k, _ in parts], np.uint64), _joined([v for _, v in parts], np.int64)
        once = unique_pairs(values >> bits, keys)
        stock, counts = np.unique(keys[once], return_counts=True)
        stock = stock[counts > max(8, len(self.entries) // 1000)]
        kept = ~np.isin(keys, stock)
        return keys[kept], values[kept]

    def profile(self, entry: int) -> Profile:
        """The benchmark question number `entry`, prepared for comparison."""
        return self._profiles[entry // _CHUNK][entry % _CHUNK]

    def word_weights(self, entry: int) -> np.ndarray:
        """Weights of the words of a benchmark question in the order of the text."""
        return self._profiles[entry // _CHUNK].word_weights(entry % _CHUNK)

    def _windows(self, columns: Columns, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Long windows; the value packs entry and whether it is the entry's context."""
        spans = columns.spans
        starts = window_starts(spans.letter_rows, WINDOW)
        hashes = RangeHash(spans.letters).windows(WINDOW)[starts]
        per_letter = np.zeros(len(spans.letters) + 1)
        per_letter[1:] = np.bincount(spans.word_ends - 1, self.rarity.of(spans.words), minlength=len(spans.letters))
        sums = np.cumsum(per_letter)
        informative = sums[starts + WINDOW] - sums[starts] >= _WINDOW_INFORMATION
        rows = np.searchsorted(spans.letter_rows, starts, "right") - 1
        packed = (columns.span_entry[rows] + first) << 1 | columns.span_is_context[rows]
        return hashes[informative], packed[informative]

    def _grams(self, columns: Columns, first: int) -> tuple[np.ndarray, np.ndarray]:
        """N-grams of the questions; the value packs entry and position of the first word within the question."""
        words = columns.spans.words[columns.question_words]
        counts = np.bincount(columns.question_entry, minlength=len(columns.entries))
        rows = np.concatenate(([0], np.cumsum(counts)))
        starts = window_starts(rows, GRAM)
        hashes = RangeHash(words).windows(GRAM)[starts]
        sums = np.concatenate(([0.0], np.cumsum(self.rarity.of(words))))
        informative = sums[starts + GRAM] - sums[starts] >= _GRAM_INFORMATION
        owner = columns.question_entry[starts]
        packed = ((owner + first) << _PLACE_BITS) | (starts - rows[owner])
        return hashes[informative], packed[informative]


def _joined(parts: list, kind: type) -> np.ndarray:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, kind)


def _frequency(keys: np.ndarray) -> Ints:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse] if len(keys) else np.zeros(0, np.int64)
