"""Exercises in generic skills for the nano base model: format, copying, binding a text to its letter, counting.

A language model brings these skills along before any medical training; a random small one does not, and spends all its
training on them.  Which names stand together is drawn at random, so that no fact about the world is in the exercises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fleming_nemo.data.chat import render_check
from fleming_nemo.data.items import QAItem

MAX_OPTIONS = 10


def drills(names: Sequence[str], count: int, seed: int, split: str, ramp: float = 0.5) -> Iterator[tuple[QAItem, str]]:
    """`count` (question, reasoning) pairs about `names` in random places; the same for the same seed and split.

    The order is a curriculum, and training keeps it: over the first `ramp` of them the options grow from two to ten,
    and the other kinds join the binding of a name to its letter, which a small model learns only where there is little
    to confuse.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, len(split)]))
    kinds = (_bind, _look_up, _look_up_twice, _last, _count)
    for number in range(count):
        level = min(1.0, (number + 1) / max(1.0, count * ramp))
        others = 0.6 * level
        kind = kinds[rng.choice(len(kinds), p=(1 - others, 0.3 * others, 0.25 * others, 0.25 * others, 0.2 * others))]
        question, reasoning, options, answer = kind(_Level(rng, names, level))
        shuffled = tuple(options[i] for i in rng.permutation(len(options)))
        position = shuffled.index(answer)
        provenance = {"kind": kind.__name__.strip("_")}
        item = QAItem(
            f"drill-{split}-{number}", question, shuffled, position, None, "drill", "en", split, None, provenance
        )
        yield item, f"{reasoning}{render_check(shuffled, position)}"


Drill = tuple[str, str, list[str], str]
"""Question, reasoning before the conclusion, options, right option."""


class _Level:
    """Draws of one drill at a level of difficulty from 0 to 1."""

    def __init__(self, rng: np.random.Generator, names: Sequence[str], level: float) -> None:
        self.rng = rng
        self._names = names
        self.max_options = 2 + round(level * (MAX_OPTIONS - 2))

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        return int(self.rng.integers(low, high + 1))

    def num_options(self) -> int:
        return self.integer(2, self.max_options)

    def names(self, count: int) -> list[str]:
        """Distinct names."""
        return [self._names[i] for i in self.rng.choice(len(self._names), size=count, replace=False)]


def _bind(level: _Level) -> Drill:
    options = level.names(level.num_options())
    return f"Which option is {options[0]}?", f"It is {options[0]}. ", options, options[0]


def _look_up(level: _Level) -> Drill:
    options = level.names(max(3, level.num_options()))
    keys = level.names(level.integer(2, 3))
    asked = level.integer(0, len(keys) - 1)
    told = "; ".join(f"{key} has {value}" for key, value in zip(keys, options, strict=False))
    reasoning = f"Here {keys[asked]} has {options[asked]}. "
    return f"Given: {told}. What has {keys[asked]}?", reasoning, options, options[asked]


def _look_up_twice(level: _Level) -> Drill:
    first, middle, *options = level.names(2 + level.num_options())
    pairs = [f"{first} has {middle}", f"{middle} has {options[0]}"]
    told = "; ".join(pairs if level.rng.random() < 0.5 else pairs[::-1])
    reasoning = f"Here {first} has {middle}. {middle} has {options[0]}. "
    return f"Given: {told}. What has the one that {first} has?", reasoning, options, options[0]


def _last(level: _Level) -> Drill:
    options = level.names(max(3, level.num_options()))
    listed = options[: level.integer(2, 3)][::-1]
    return f"Which is last: {'; '.join(listed)}?", f"The last is {listed[-1]}. ", options, listed[-1]


def _count(level: _Level) -> Drill:
    number = level.integer(1, 5)
    others = [str(n) for n in level.rng.permutation(np.arange(1, 7)) if n != number]
    options = [str(number), *others[: level.integer(1, 4)]]
    return f"How many: {'; '.join(level.names(number))}?", f"There are {number}. ", options, str(number)
