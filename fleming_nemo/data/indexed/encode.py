"""Text to the bytes of its token ids, several times as fast as the tokenizer alone, and always with its result.

Chats repeat themselves: the stretch between two spaces has mostly been encoded before.  Where no token can reach
across a space (see `cuts_at_spaces`), the ids of a text are those of its stretches, one after the other.
"""

from __future__ import annotations

import json
import re

import numpy as np
from tokenizers import Tokenizer

from fleming_nemo.data.qwen import SPLIT
from fleming_nemo.data.tokenizer import ChatTokenizer

_WORDS = 1 << 17
"""Stretches remembered by a process: about 40 MB."""
_LONGEST_WORD = 64
"""Characters; longer stretches (text without spaces, as in Chinese) hardly ever come twice."""
_SPLITS = (SPLIT, SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|"))
"""Of Qwen, and of GPT-4 and Llama 3, which take up to three digits together."""
_SPACE_AFTER_WHITESPACE = re.compile(r"\s ")
_CUT = re.compile(r"(?<=\S)(?= )")


def cuts_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether this tokenizer always starts a new token at a space that stands after anything but whitespace.

    True for the byte-level tokenizers of GPT-4, Llama 3 and Qwen.  Their pattern takes a space as the first character
    of a match or within a run of whitespace, looks ahead only from whitespace, and never back; NFC composes nothing
    with a space; and an added token that holds a space or swallows one beside it rules the whole tokenizer out.
    """
    if tokenizer.pre_tokenizer is None or tokenizer.truncation or tokenizer.padding or tokenizer.model.dropout:
        return False
    # their pickled form is their part of tokenizer.json
    parts = json.loads(tokenizer.pre_tokenizer.__getstate__())
    normalizer = json.loads(tokenizer.normalizer.__getstate__()) if tokenizer.normalizer else None
    steps = parts.get("pretokenizers") or []
    if parts["type"] != "Sequence" or [step["type"] for step in steps] != ["Split", "ByteLevel"]:
        return False
    split, bytes_ = steps
    return (
        split["pattern"].get("Regex") in _SPLITS
        and (split["behavior"], split["invert"]) == ("Isolated", False)
        and not (bytes_["add_prefix_space"] or bytes_["use_regex"])
        and normalizer in (None, {"type": "NFC"})
        and not any(
            " " in token.content or token.lstrip or token.rstrip or token.single_word
            for token in tokenizer.get_added_tokens_decoder().values()
        )
    )


class _Words(dict[str, bytes]):
    """Ids of stretches of text with something before them, encoded when first asked for."""

    def __init__(self, chat: ChatTokenizer, dtype: np.dtype, before: str) -> None:
        self._chat, self._dtype, self._before = chat, dtype, before

    def __missing__(self, word: str) -> bytes:
        ids = np.array(self._chat.encode(self._before + word), self._dtype).tobytes()
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _WORDS:
                self.clear()
            self[word] = ids
        return ids


class Encoder:
    """Encodes texts as `chat` does, into bytes of `dtype` (of `format.token_dtype`)."""

    def __init__(self, chat: ChatTokenizer, dtype: np.dtype) -> None:
        self._first, self._later = _Words(chat, dtype, ""), _Words(chat, dtype, " ")
        self.itemsize = dtype.itemsize
        self._by_words = cuts_at_spaces(chat.tokenizer)

    def __call__(self, text: str) -> bytes:
        if not self._by_words:
            return self._first.__missing__(text)
        if _SPACE_AFTER_WHITESPACE.search(text):  # a cut before such a space would part a run of whitespace
            return b"".join(map(self._first.__getitem__, _CUT.split(text)))
        first, *later = text.split(" ")
        return self._first[first] + b"".join(map(self._later.__getitem__, later))
