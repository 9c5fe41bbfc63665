"""Which pairs of training item and benchmark question are worth a close look: array lookups only, no text compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.hashing import Ints, RangeHash, expand, summed, window_starts
from fleming_nemo.rods.overlap.index import GRAM, WINDOW, BenchmarkIndex
from fleming_nemo.rods.overlap.weighed import Weighed, features_of

_SHARE = 0.4
_MOST_PER_ITEM = 48
_STEPS = 16.0
_PLACES = np.int64(1) << 20


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs in order of item and benchmark entry, each once, with what the index found; all arrays are parallel."""

    item: Ints
    """Position in the chunk."""
    entry: Ints
    letters: Ints
    """Letters of the benchmark question that lie in a passage of 64 and more of the item's question or context."""
    context_letters: Ints
    """The same for the benchmark's context."""
    run: NDArray[np.float64]
    """Information of the words of the benchmark question that shared n-grams cover."""
    same: NDArray[np.bool_]
    """The same question but for spaces and punctuation."""


def candidates_of(weighed: Weighed, index: BenchmarkIndex) -> Candidates:
    """At most 48 pairs per item come from single words, and as many from options."""
    width = max(len(index.entries), 1)
    whole = _whole(weighed, index, width)
    passage, letters = _passages(weighed, index, width)
    gram, run = _runs(weighed, index, width)
    words, options = _by_words(weighed, index, width), _by_options(weighed, index, width)
    pairs = np.unique(np.concatenate((words, options, whole, passage >> 1, gram)))
    found = Candidates(
        *np.divmod(pairs, width),
        letters=np.zeros(len(pairs), np.int64),
        context_letters=np.zeros(len(pairs), np.int64),
        run=np.zeros(len(pairs)),
        same=np.zeros(len(pairs), bool),
    )
    for side, target in ((0, found.letters), (1, found.context_letters)):
        here = np.flatnonzero(passage & 1 == side)
        target[np.searchsorted(pairs, passage[here] >> 1)] = letters[here]
    found.run[np.searchsorted(pairs, gram)] = run
    found.same[np.searchsorted(pairs, whole)] = True
    return found


def _by_words(weighed: Weighed, index: BenchmarkIndex, width: int) -> Ints:
    """Pairs that share at least 40 % of the lookup weight of the shorter question."""
    features = features_of(weighed, index.most)
    place, entry = index.features.lookup(features.keys)
    if not len(place):
        return np.zeros(0, np.int64)
    # One sort instead of a table of all pairs: the weight rides in the low bits of the pair's number.
    weight = np.round(features.weights * _STEPS).astype(np.int64)
    owner = features.entry * width << 10 | weight
    packed = np.sort(owner[place] + (entry << 10))
    pair = packed >> 10
    first = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1])))
    shared = np.add.reduceat(packed & 1023, first) / _STEPS
    item, entry = np.divmod(pair[first], width)
    kept = np.flatnonzero(shared >= _SHARE * np.minimum(features.total[item], index.feature_total[entry]))
    return _strongest(item[kept], entry[kept], shared[kept], width)


def _strongest(item: Ints, entry: Ints, shared: np.ndarray, width: int) -> Ints:
    order = np.lexsort((entry, -shared, item))
    item, entry = item[order], entry[order]
    kept = np.arange(len(item)) - np.searchsorted(item, item, "left") < _MOST_PER_ITEM
    return item[kept] * width + entry[kept]


def _by_options(weighed: Weighed, index: BenchmarkIndex, width: int) -> Ints:
    """Pairs with two rare options in common."""
    place, entry = index.options.lookup(weighed.columns.option_hash)
    pairs, counts = np.unique(weighed.columns.option_entry[place] * width + entry, return_counts=True)
    item, entry = np.divmod(pairs[counts >= 2], width)
    return _strongest(item, entry, counts[counts >= 2], width)


def _whole(weighed: Weighed, index: BenchmarkIndex, width: int) -> Ints:
    item, entry = index.questions.lookup(weighed.columns.question_hash)
    return np.unique(_strongest(item, entry, np.ones(len(item)), width))


def _passages(weighed: Weighed, index: BenchmarkIndex, width: int) -> tuple[Ints, Ints]:
    """Passages of 64 letters in common: numbers of pair and side (question or context), and letters that they cover."""
    spans = weighed.columns.spans
    starts, text = spans.long_runs(WINDOW)
    place, packed = index.windows.lookup(RangeHash(spans.letters).windows(WINDOW)[starts])
    side = weighed.columns.span_entry[text[place]] * (2 * width) + packed
    order = np.lexsort((starts[place], side))
    side, position = side[order], starts[place[order]]
    first = np.flatnonzero(np.concatenate(([True], side[1:] != side[:-1])) if len(side) else np.zeros(0, bool))
    last = np.append(side[1:] != side[:-1], True)[: len(side)]
    gained = np.where(last, WINDOW, np.minimum(np.append(np.diff(position), WINDOW)[: len(side)], WINDOW))
    return side[first], np.add.reduceat(gained, first) if len(first) else gained


def _runs(weighed: Weighed, index: BenchmarkIndex, width: int) -> tuple[Ints, NDArray[np.float64]]:
    """Pairs with a shared n-gram, and the information of the benchmark's words that shared n-grams cover."""
    columns = weighed.columns
    starts = window_starts(columns.spans.word_rows, GRAM)
    place, packed = index.grams.lookup(RangeHash(columns.spans.words).windows(GRAM)[starts])
    text = np.searchsorted(columns.spans.word_rows, starts[place], "right") - 1
    pair = columns.span_entry[text] * width + (packed >> 20)
    covered = expand(pair * _PLACES + (packed & 0xFFFFF), np.full(len(pair), GRAM))
    covered = np.unique(covered)
    pair, position = np.divmod(covered, _PLACES)
    pairs, owner = np.unique(pair, return_inverse=True)
    weights = index.weighed.weights[index.weighed.rows[pairs % width][owner] + position]
    return pairs, summed(owner, weights, len(pairs))
