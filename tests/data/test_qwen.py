"""Ranks to merges: what byte-pair encoding learned is what comes out."""

import base64
import json
import os
import zipfile
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import qwen
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer

TEXTS = ["the patient has a murmur, the patient had a murmur: mitral stenosis", "肝硬化患者 has diabetes, 12 mg"] * 3


@pytest.fixture(scope="module")
def learned() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(qwen.SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet))
    return tokenizer


@pytest.fixture(scope="module")
def ranks(learned: Tokenizer) -> bytes:
    """As a rank file, of what was learned."""
    of_letter = {letter: byte for byte, letter in enumerate(qwen._letters())}
    lines = []
    for token, rank in learned.get_vocab().items():
        raw = bytes(of_letter[letter] for letter in token)
        lines.append(base64.b64encode(raw) + b" " + str(rank).encode())
    return b"\n".join(lines) + b"\n"


def test_the_merges_are_those_that_were_learned(learned: Tokenizer, ranks: bytes) -> None:
    described = qwen.describe(qwen.read_ranks(ranks), "qwen2.5")
    assert described["model"]["merges"] == json.loads(learned.to_str())["model"]["merges"]
    ours = Tokenizer.from_str(json.dumps(described))
    for text in (*TEXTS, "a new text: 肝 é\n\n  x"):
        assert ours.encode(text).ids == learned.encode(text).ids


@pytest.mark.parametrize(("family", "think"), [("qwen2.5", False), ("qwen3", True)])
def test_chats_come_back(ranks: bytes, tmp_path: Path, family: str, think: bool) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(qwen.describe(qwen.read_ranks(ranks), family)))
    chat = ChatTokenizer(tmp_path)
    assert (len(chat.encode("<think>")) == 1) == think
    item = QAItem("i", "Which?", ("lupus", "gout"), 1, "Given.", "kg", "en", "train", None, {})
    text = render_prompt(item, "Be brief.") + render_response("So it is.", "B")
    assert chat.decode(chat.encode(text)) == text
    # prompt and response have no token in common, whatever is merged elsewhere
    assert chat.encode(render_prompt(item)) + chat.encode(render_response("x", "B")) == chat.encode(
        render_prompt(item) + render_response("x", "B")
    )


def test_ranks_that_are_not_of_byte_pair_encoding() -> None:
    with pytest.raises(ValueError, match="is not made by one merge"):
        qwen.merge_of(b"abc", {b"a": 0, b"b": 1, b"c": 2, b"abc": 3})


def test_another_wheel(tmp_path: Path, ranks: bytes) -> None:
    with pytest.raises(UserError, match="holds no dashscope/resources/qwen.tiktoken"):
        qwen.write(tmp_path / "none.whl", tmp_path, "qwen3")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr(qwen.RANKS_FILE, ranks)
    with pytest.raises(UserError, match="is another version"):
        qwen.write(tmp_path / "other.whl", tmp_path, "qwen3")
    assert sorted(os.listdir(tmp_path)) == ["other.whl"]
