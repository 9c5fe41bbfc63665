"""Words of many texts at once: one pass of numpy over their joined characters.

A word is a run of letters and digits; a number that starts a run stands alone ('10mg' is two words, 'b12' one). Chinese
and Japanese have no spaces: every two neighbouring characters are a word. All numbers are the same word, because a
changed number is the cheapest way to disguise a copied question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.folding import fold
from fleming_nemo.rods.overlap.hashing import U64, Ints, RangeHash, expand

_BREAK, _LETTER, _DIGIT, _CJK = 0, 1, 2, 3
_CJK_RANGES = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
NUMBER = np.uint64(0xD161)


@cache
def _classes() -> NDArray[np.uint8]:
    table = np.zeros(0x110000, np.uint8)
    for code in range(0x10000):
        char = chr(code)
        table[code] = _DIGIT if char.isdecimal() else _LETTER if char.isalnum() else _BREAK
    for low, high in _CJK_RANGES:
        table[low : high + 1] = np.where(table[low : high + 1] | (low > 0xFFFF), _CJK, _BREAK)
    return table


def _kinds(text: str, chars: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Class of every character; bytes go through one table, and only what is no Latin letter through the large one."""
    table = _classes()
    kind = np.frombuffer(bytearray(text.encode("latin-1", "replace").translate(table[:256].tobytes())), np.uint8)
    wide = np.flatnonzero(chars > 0xFF)
    kind[wide] = table[chars[wide]]
    return kind


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words and letters of a list of texts, laid end to end; row r is text r."""

    words: U64
    word_rows: Ints
    """Offsets: words of text r are words[word_rows[r]:word_rows[r + 1]]."""
    letters: NDArray[np.uint32]
    """Letters without spaces and punctuation, every number as one sign."""
    letter_rows: Ints
    word_starts: Ints
    """Per word, the position in `letters` of its first letter."""
    word_ends: Ints
    """Per word, one past the position of its last letter."""

    def long_runs(self, width: int) -> tuple[Ints, Ints]:
        """Words after which `width` letters of the same text follow: positions in `letters`, and the texts."""
        text = np.repeat(np.arange(len(self.word_rows) - 1), np.diff(self.word_rows))
        kept = np.flatnonzero(self.word_starts + width <= self.letter_rows[1:][text])
        return self.word_starts[kept], text[kept]


def tokenise(texts: Sequence[str], numbers_alike: bool = True) -> Tokens:
    """Words and letters of every text, in order. With `numbers_alike` off, 3 and 4 are different words."""
    # Most texts are plain: lower case is all that folding does to them.
    folded = [t.lower() if t.isascii() and "&" not in t and "<" not in t else fold(t) for t in texts]
    joined = "\n".join(folded) + "\n"
    chars = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32)
    kind = _kinds(joined, chars)
    lengths = np.fromiter((len(text) + 1 for text in folded), np.int64, len(folded))
    borders = np.concatenate(([0], np.cumsum(lengths)))

    cut = np.flatnonzero(kind[1:] != kind[:-1]) + 1
    run_start = np.concatenate(([0], cut)).astype(np.int64)
    run_end = np.concatenate((cut, [len(kind)])).astype(np.int64)
    run_kind = kind[run_start]
    before = np.concatenate(([np.uint8(_BREAK)], run_kind[:-1]))
    number = (run_kind == _DIGIT) & (before != _LETTER)
    after_number = np.concatenate(([False], number[:-1]))
    in_word = (run_kind == _LETTER) | (run_kind == _DIGIT)
    fresh = in_word & ((before == _BREAK) | (before == _CJK) | after_number)
    last = in_word & np.concatenate((fresh[1:] | ~in_word[1:], [True]))
    starts, ends, is_number = run_start[fresh], run_end[last], number[fresh]
    # 'b12' starts with a letter, so a number word is exactly a number run.

    chinese = np.flatnonzero(kind == _CJK)
    if len(chinese):
        paired = kind[np.minimum(chinese + 1, len(kind) - 1)] == _CJK
        alone = ~paired & ((chinese == 0) | (kind[np.maximum(chinese - 1, 0)] != _CJK))
        more = chinese[paired | alone]
        starts = np.concatenate((starts, more))
        ends = np.concatenate((ends, more + 1 + paired[paired | alone]))
        is_number = np.concatenate((is_number, np.zeros(len(more), bool)))
        order = np.argsort(starts, kind="stable")
        starts, ends, is_number = starts[order], ends[order], is_number[order]

    words = RangeHash(chars).of(starts, ends)
    kept = kind != _BREAK
    if numbers_alike:
        words[is_number] = NUMBER
        places = run_start[number]
        kept[expand(places, run_end[number] - places)] = False
        kept[places] = True
        chars = chars.copy()
        chars[places] = ord("0")
    position = np.concatenate(([0], np.cumsum(kept)))
    return Tokens(
        words=words,
        word_rows=np.searchsorted(starts, borders),
        letters=chars[kept],
        letter_rows=position[borders],
        word_starts=position[starts],
        word_ends=position[ends],
    )
