"""Which pairs of training item and benchmark question are worth a close look: array lookups only, no text compared."""

from dataclasses import dataclass, field

import numpy as np

from fleming_nemo.rods.overlap.columns import Columns, features_of
from fleming_nemo.rods.overlap.hashing import Ints, RangeHash, window_starts
from fleming_nemo.rods.overlap.index import GRAM, WINDOW, BenchmarkIndex

_SHARE = 0.4
_MOST_PER_ITEM = 48
_STEPS = 16.0


@dataclass(slots=True)
class Evidence:
    """What the index found for one pair."""

    windows: int = 0
    """Windows of 64 letters of the benchmark question that stand in the item's question or context."""
    context_windows: int = 0
    """The same for the benchmark's context."""
    grams: list[int] = field(default_factory=list)
    """Positions in the benchmark question of the n-grams in common."""
    options: bool = False
    """Two rare options in common."""
    letters: bool = False
    """The same question but for spaces and punctuation."""


def candidates_of(columns: Columns, index: BenchmarkIndex) -> dict[tuple[int, int], Evidence]:
    """Pairs (entry of the chunk, benchmark entry) in order. At most 48 pairs per entry come from single words."""
    found: dict[tuple[int, int], Evidence] = {}
    for pair in _by_words(columns, index):
        found.setdefault(pair, Evidence())
    for pair in _by_options(columns, index):
        found.setdefault(pair, Evidence()).options = True
    for pair in _whole(columns, index):
        found.setdefault(pair, Evidence()).letters = True
    spans = columns.spans
    starts = window_starts(spans.letter_rows, WINDOW)
    place, packed = index.windows.lookup(RangeHash(spans.letters).windows(WINDOW)[starts])
    rows = np.searchsorted(spans.letter_rows, starts[place], "right") - 1
    width = 2 * len(index.entries)
    pairs, counts = np.unique(columns.span_entry[rows] * width + packed, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        item, place_packed = divmod(pair, width)
        evidence = found.setdefault((item, place_packed >> 1), Evidence())
        if place_packed & 1:
            evidence.context_windows = count
        else:
            evidence.windows = count
    starts = window_starts(spans.word_rows, GRAM)
    place, packed = index.grams.lookup(RangeHash(spans.words).windows(GRAM)[starts])
    rows = np.searchsorted(spans.word_rows, starts[place], "right") - 1
    order = np.lexsort((packed, columns.span_entry[rows]))
    for owner, value in zip(columns.span_entry[rows][order].tolist(), packed[order].tolist(), strict=True):
        found.setdefault((owner, value >> 20), Evidence()).grams.append(value & 0xFFFFF)
    return dict(sorted(found.items()))


def _by_words(columns: Columns, index: BenchmarkIndex) -> list[tuple[int, int]]:
    """Pairs that share at least 40 % of the lookup weight of the shorter question."""
    features = features_of(columns, index.rarity, index.most)
    total = np.bincount(features.entry, features.weights, minlength=len(columns.entries))
    place, entry = index.features.lookup(features.keys)
    if not len(place):
        return []
    # One sort instead of a table of all pairs: the weight rides in the low bits of the pair's number.
    weight = np.round(features.weights[place] * _STEPS).astype(np.int64)
    packed = np.sort(((features.entry[place] * len(index.entries) + entry) << 10) | weight)
    pair, weight = packed >> 10, packed & 1023
    first = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1])))
    shared = np.add.reduceat(weight, first) / _STEPS
    item, entry = np.divmod(pair[first], len(index.entries))
    kept = shared >= _SHARE * np.minimum(total[item], index.feature_total[entry])
    return _strongest(item[kept], entry[kept], shared[kept])


def _strongest(item: Ints, entry: Ints, shared: np.ndarray) -> list[tuple[int, int]]:
    order = np.lexsort((entry, -shared, item))
    item, entry = item[order], entry[order]
    first = np.searchsorted(item, item, "left")
    kept = np.arange(len(item)) - first < _MOST_PER_ITEM
    return list(zip(item[kept].tolist(), entry[kept].tolist(), strict=True))


def _by_options(columns: Columns, index: BenchmarkIndex) -> list[tuple[int, int]]:
    """Pairs with two rare options in common."""
    place, entry = index.options.lookup(columns.option_hash)
    pair = columns.option_entry[place] * len(index.entries) + entry
    pairs, counts = np.unique(pair, return_counts=True)
    item, entry = np.divmod(pairs[counts >= 2], max(len(index.entries), 1))
    return _strongest(item, entry, counts[counts >= 2])


def _whole(columns: Columns, index: BenchmarkIndex) -> list[tuple[int, int]]:
    place, entry = index.questions.lookup(columns.question_hash)
    return _strongest(place, entry, np.ones(len(place)))
