"""A chunk of entries as arrays: the words of questions, options and contexts, cut where they are too long."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.hashing import U64, Ints, RangeHash, expand
from fleming_nemo.rods.overlap.tokens import Tokens, tokenise

# A 10 MB question is searched in pieces of this size, so that memory stays flat; they overlap by more than any window.
PIECE = 100_000
_PIECE_OVERLAP = 1_000
# Word statistics of a whole text say nothing when it is a book: beyond this, only spans inside it are compared.
LONG_QUESTION = 20_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays over the entries of one chunk; `spans` are pieces of questions and contexts of `span_entry`."""

    entries: Sequence[Entry]
    spans: Tokens
    span_entry: Ints
    span_is_context: NDArray[np.bool_]
    question_words: Ints
    """Positions in spans.words of the words of each question that is not too long, entry after entry."""
    question_entry: Ints
    option_hash: U64
    option_entry: Ints
    options: Tokens
    option_word_entry: Ints
    question_chars: Ints
    """Characters of the raw text."""
    context_chars: Ints
    question_letters: Ints
    """Letters without spaces and punctuation; 0 for a very long question."""
    question_hash: U64
    """Per entry, hash of the whole question's letters; 0 for an empty or very long one."""


def columns_of(entries: Sequence[Entry]) -> Columns:
    """The arrays of some entries."""
    texts: list[str] = []
    owner: list[int] = []
    is_context: list[bool] = []
    question_span: list[int] = []
    for number, entry in enumerate(entries):
        question_span.append(len(texts) if len(entry.question) <= LONG_QUESTION else -1)
        for text, second in ((entry.question, False), (entry.context, True)):
            for start in range(0, len(text), PIECE):
                texts.append(text[start : start + PIECE + _PIECE_OVERLAP])
                owner.append(number)
                is_context.append(second)
    spans = tokenise(texts)
    options = tokenise([option[:LONG_QUESTION] for entry in entries for option in entry.options])
    places = np.array(question_span, np.int64)
    short = np.flatnonzero(places >= 0)
    short = short[[bool(entries[n].question) for n in short.tolist()]] if len(short) else short
    starts, ends = spans.word_rows[places[short]], spans.word_rows[places[short] + 1]
    whole = np.zeros(len(entries), np.uint64)
    letters = RangeHash(spans.letters)
    whole[short] = letters.of(spans.letter_rows[places[short]], spans.letter_rows[places[short] + 1])
    whole[short[spans.letter_rows[places[short]] == spans.letter_rows[places[short] + 1]]] = 0
    question_letters = np.zeros(len(entries), np.int64)
    question_letters[short] = spans.letter_rows[places[short] + 1] - spans.letter_rows[places[short]]
    option_entry = np.repeat(np.arange(len(entries)), [len(entry.options) for entry in entries])
    return Columns(
        entries=entries,
        spans=spans,
        span_entry=np.array(owner, np.int64),
        span_is_context=np.array(is_context, bool),
        question_words=expand(starts, ends - starts),
        question_entry=np.repeat(short, ends - starts),
        option_hash=RangeHash(options.letters).of(options.letter_rows[:-1], options.letter_rows[1:]),
        option_entry=option_entry,
        options=options,
        option_word_entry=np.repeat(option_entry, np.diff(options.word_rows)),
        question_chars=np.fromiter((len(entry.question) for entry in entries), np.int64, len(entries)),
        context_chars=np.fromiter((len(entry.context) for entry in entries), np.int64, len(entries)),
        question_letters=question_letters,
        question_hash=whole,
    )
