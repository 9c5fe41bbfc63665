"""Near duplicates inside a corpus: MinHash proposes pairs, the exact share of common shingles decides."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap.entries import Entry, entry_of
from fleming_nemo.rods.overlap.exact import Deduplication, deduplication
from fleming_nemo.rods.overlap.hashing import Ints
from fleming_nemo.rods.overlap.minhash import BANDS, ROWS, Signatures, buckets, jaccard, joined, signatures_of
from fleming_nemo.rods.overlap.shards import map_chunks

THRESHOLD = 0.7
# Two questions about one long passage share most of their text and none of their options: both stay.
_CHOICES_ALIKE = 0.3
_PARTNERS = 8


def drop_near_duplicates(
    items: Sequence[QAItem | Entry], threshold: float = THRESHOLD, workers: int = 1
) -> Deduplication:
    """Remove every item that shares `threshold` of its shingles with an earlier item that stays.

    The earliest item of a cluster stays; an item is never removed for being like a removed one, so that a chain of
    small changes cannot drag unlike items together. Raises UserError for a threshold outside 0.5..1.
    """
    if not 0.5 <= threshold <= 1:
        raise UserError(f"near-duplicate threshold {threshold}: expected a share between 0.5 and 1.")
    signatures = joined(map_chunks(partial(_chunk), items, workers, "near duplicates"))
    left, right = _pairs(signatures, threshold)
    alike = jaccard(signatures.shingles, signatures.rows, left, right)
    choices = jaccard(signatures.option_words, signatures.option_rows, left, right)
    sure = (alike >= threshold) & (choices >= _CHOICES_ALIKE)
    leader: dict[int, tuple[int, float]] = {}
    # Pairs come ordered by the later item, so whether the earlier one stays is known by then.
    for early, late, share in zip(left[sure].tolist(), right[sure].tolist(), alike[sure].tolist(), strict=True):
        if early not in leader and (late not in leader or share > leader[late][1]):
            leader[late] = (early, share)
    return deduplication(items, leader, "near")


def _chunk(_: int, items: Sequence[QAItem | Entry]) -> Signatures:
    return signatures_of([entry_of(item) for item in items])


def _pairs(signatures: Signatures, threshold: float) -> tuple[Ints, Ints]:
    """Candidate pairs (earlier, later), ordered by the later and then the earlier one.

    In a bucket every item meets the eight before it and the bucket's first eight: linear work for any bucket.
    """
    count = len(signatures.rows) - 1
    found = [np.zeros(0, np.int64)]
    for items, bucket in buckets(signatures):
        if not len(items):
            continue
        start = np.searchsorted(bucket, bucket, "left")
        place = np.arange(len(items))
        for step in range(1, _PARTNERS + 1):
            for partner in (place - step, start + step - 1):
                kept = (partner >= start) & (partner < place)
                found.append(items[place[kept]] * count + items[partner[kept]])
        found = [np.unique(np.concatenate(found))]
    late, early = np.divmod(found[0], max(count, 1))
    near = np.zeros(len(late), bool)
    slack = 0.2
    for low in range(0, len(late), 1 << 18):
        a, b = early[low : low + (1 << 18)], late[low : low + (1 << 18)]
        equal = (signatures.values[a] == signatures.values[b]).sum(axis=1)
        near[low : low + (1 << 18)] = equal >= (threshold - slack) * BANDS * ROWS
    return early[near], late[near]
