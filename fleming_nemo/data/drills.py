"""Exercises in generic skills for the nano base model: format, copying, binding a text to its letter, counting.

A language model brings these skills along before any medical training; a random small one does not, and spends all its
training on them.  The exercises are about nonsense names, put together at random from a list of words, so that no
fact about the world is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import LETTERS, QAItem

MAX_OPTIONS = 10


def drills(words: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """`count` (prompt, response) pairs over names made of `words`; the same for the same seed."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    kinds = (_bind, _look_up, _look_up_twice, _last, _count)
    for _ in range(count):
        kind = kinds[rng.choice(len(kinds), p=(0.4, 0.2, 0.15, 0.15, 0.1))]
        question, reasoning, options, answer = kind(rng, words)
        order = rng.permutation(len(options))
        shuffled = tuple(options[i] for i in order)
        item = QAItem("drill", question, shuffled, shuffled.index(answer), None, "drill", "en", "train", None, {})
        letter = LETTERS[shuffled.index(answer)]
        yield render_prompt(item), render_response(f"{reasoning}So {answer} is {letter}.", letter)


Drill = tuple[str, str, list[str], str]


def _names(rng: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    """Distinct names of one to four words; often with the same last word, as names of one kind have."""
    shared = words[rng.integers(len(words))] if rng.random() < 0.5 else None
    names: list[str] = []
    while len(names) < count:
        length = 1 + rng.integers(3)
        parts = [words[i] for i in rng.integers(len(words), size=length)]
        if shared is not None and rng.random() < 0.7:
            parts.append(shared)
        name = " ".join(parts)
        if name not in names:
            names.append(name)
    return names


def _num_options(rng: np.random.Generator) -> int:
    # fewer options more often: binding is first learned where there is little to confuse
    return int(min(rng.integers(2, MAX_OPTIONS + 1), rng.integers(2, MAX_OPTIONS + 1) + rng.integers(0, 4)))


def _bind(rng: np.random.Generator, words: Sequence[str]) -> Drill:
    options = _names(rng, words, _num_options(rng))
    return f"Which option is {options[0]}?", "", options, options[0]


def _look_up(rng: np.random.Generator, words: Sequence[str]) -> Drill:
    keys = _names(rng, words, int(rng.integers(2, 4)))
    options = _names(rng, words, max(len(keys), _num_options(rng)))
    asked = int(rng.integers(len(keys)))
    told = "; ".join(f"{key} has {value}" for key, value in zip(keys, options, strict=False))
    return f"Given: {told}. What has {keys[asked]}?", f"Here {keys[asked]} has {options[asked]}. ", options, options[asked]


def _look_up_twice(rng: np.random.Generator, words: Sequence[str]) -> Drill:
    first, middle, *options = _names(rng, words, 2 + _num_options(rng))
    pairs = [f"{first} has {middle}", f"{middle} has {options[0]}"]
    told = "; ".join(pairs if rng.random() < 0.5 else pairs[::-1])
    reasoning = f"Here {first} has {middle}. {middle} has {options[0]}. "
    return f"Given: {told}. What has the one that {first} has?", reasoning, options, options[0]


def _last(rng: np.random.Generator, words: Sequence[str]) -> Drill:
    options = _names(rng, words, max(3, _num_options(rng)))
    listed = options[: int(rng.integers(2, 4))][::-1]
    return f"Which is last: {'; '.join(listed)}?", f"The last is {listed[-1]}. ", options, listed[-1]


def _count(rng: np.random.Generator, words: Sequence[str]) -> Drill:
    number = int(rng.integers(1, 6))
    others = [str(n) for n in rng.permutation(np.arange(1, 7)) if n != number]
    options = [str(number), *others[: int(rng.integers(1, 5))]]
    return f"How many: {'; '.join(_names(rng, words, number))}?", f"There are {number}. ", options, str(number)
