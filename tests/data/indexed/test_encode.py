"""The fast encoder gives what the tokenizer gives, for any text, and knows the tokenizers it is not fit for."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from fleming_nemo.data.indexed import encode
from fleming_nemo.data.indexed.encode import Encoder, cuts_at_spaces
from fleming_nemo.data.tokenizer import ChatTokenizer

INT32 = np.dtype("<i4")
PIECES = [
    " ",
    "  ",
    "\n",
    " \n",
    "\t",
    "\u00a0",
    "\u2028",
    "\x1c",
    "\x85",
    "'s",
    "'",
    ".",
    "(",
    "<think>",
    "<|im_end|>",
]
PIECES += ["A", "the", "é", "e\u0301", "\u0301", "\u0338", "肝", "1", "23", "🩺", "</think>\n\n<answer>B</answer>"]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)).map("".join)


@given(text=TEXTS)
@example("a \u0338b  c\n d \n e\u00a0 f \u0301g \x1c h")
def test_same_ids_as_the_tokenizer(qwen: ChatTokenizer, text: str) -> None:
    fast = Encoder(qwen, INT32)
    assert fast._by_words
    for _ in range(2):  # from the tokenizer, then from memory
        assert np.frombuffer(fast(text), INT32).tolist() == qwen.encode(text)


@given(text=TEXTS)
def test_same_ids_where_tokens_hold_spaces(chat: ChatTokenizer, text: str) -> None:
    fast = Encoder(chat, np.dtype("<u2"))
    assert not fast._by_words
    assert np.frombuffer(fast(text), "<u2").tolist() == chat.encode(text)


def test_memory_is_bounded(qwen: ChatTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_WORDS", 10)
    fast = Encoder(qwen, INT32)
    text = " ".join(f"word{n}" for n in range(100)) + " " + "x" * 200
    assert np.frombuffer(fast(text), INT32).tolist() == qwen.encode(text)
    assert 0 < len(fast._later) <= 10 and "x" * 200 not in fast._later


def test_tokenizers_that_reach_across_spaces_are_left_alone(qwen: ChatTokenizer) -> None:
    assert cuts_at_spaces(qwen.tokenizer)
    original = json.loads(qwen.tokenizer.to_str())

    def changed(**parts: object) -> Tokenizer:
        return Tokenizer.from_str(json.dumps(original | parts))

    two_words, swallows = changed(), changed()
    two_words.add_tokens([AddedToken("a murmur", normalized=False)])
    swallows.add_tokens([AddedToken("<x>", lstrip=True)])
    padded = changed()
    padded.enable_padding(length=5)
    split, bytes_ = original["pre_tokenizer"]["pretokenizers"]
    others = [
        two_words,
        swallows,
        padded,
        changed(model=original["model"] | {"dropout": 0.1}),
        changed(normalizer={"type": "Lowercase"}),
        changed(pre_tokenizer=None),
        changed(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}),
        changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [split | {"invert": True}, bytes_]}),
        changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [split, bytes_ | {"add_prefix_space": True}]}),
        changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [split | {"pattern": {"Regex": "\\w+ "}}, bytes_]}),
    ]
    for tokenizer in others:
        assert not cuts_at_spaces(tokenizer)
