"""Order of the samples as a pure function of the seed and the position: to resume, only the step must be known."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def _epoch(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_samples)


def take(start: int, count: int, num_samples: int, seed: int, shuffle: bool = True) -> list[int]:
    """Samples at positions `start` .. `start + count` of an endless stream.

    Every epoch of `num_samples` positions visits each sample exactly once, in a shuffled order of its own; without
    `shuffle`, in the order in which they are stored.
    """
    if num_samples <= 0:
        raise ValueError("an empty set has no order")
    if not shuffle:
        return [position % num_samples for position in range(start, start + count)]
    return [
        int(_epoch(num_samples, seed, position // num_samples)[position % num_samples])
        for position in range(start, start + count)
    ]
