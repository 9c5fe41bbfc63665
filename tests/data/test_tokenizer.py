"""The tokenizer: nothing is lost, and an option's letter is one token wherever it stands."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DataConfig
from fleming_nemo.data import tokenizer
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import LETTERS, QAItem
from fleming_nemo.data.tokenizer import SPECIAL_TOKENS, ChatTokenizer

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(TEXT | st.sampled_from([*SPECIAL_TOKENS, "\n\n", "  ", "A)", " 12345 "])).map("".join))
@example("e\u0301 \u00a0\u2028 \ufeff\x00 １２ 汉字 🩺 <|im_end")
def test_round_trip(chat: ChatTokenizer, text: str) -> None:
    assert chat.decode(chat.encode(text)) == text
    assert chat.encode_batch([text]) == [chat.encode(text)]
    assert all(0 <= i < chat.size for i in chat.encode(text))


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_is_the_same_token_in_the_option_and_in_the_answer(chat: ChatTokenizer, letter: str) -> None:
    (id_,) = chat.encode(letter)
    item = QAItem("i", "Which?", tuple(f"option {n}" for n in range(26)), 0, None, "kg", "en", "train", None, {})
    prompt, response = chat.encode(render_prompt(item)), chat.encode(render_response("So it is.", letter))
    assert prompt.count(id_) == 1
    answer = chat.encode("<answer>")[0]
    assert response[response.index(answer) + 1] == id_
    assert chat.decode([id_]) == letter


def test_special_tokens_are_one_token_each(chat: ChatTokenizer) -> None:
    ids = [chat.encode(token) for token in SPECIAL_TOKENS]
    assert all(len(i) == 1 for i in ids)
    assert len({i for (i,) in ids}) == len(SPECIAL_TOKENS)
    assert chat.encode("<|im_end|>") == [chat.end_id] and chat.encode("<|endoftext|>") == [chat.pad_id]
    rendered = chat.encode(render_response("velto has it", "B"))
    assert [i for i in rendered if i < len(SPECIAL_TOKENS)] == [
        chat.encode(t)[0] for t in ("<think>", "</think>", "<answer>", "</answer>", "<|im_end|>")
    ]


def test_prompt_and_response_may_be_encoded_apart(chat: ChatTokenizer) -> None:
    """As corpora and rollouts do: a rollout sees the prompt alone."""
    item = QAItem("i", "What has velto?", ("lupus", "marfan"), 1, "Given.", "kg", "en", "train", None, {})
    prompt, response = render_prompt(item, "Be brief."), render_response("velto has marfan", "B")
    assert chat.encode(prompt) + chat.encode(response) == chat.encode(prompt + response)


def test_training_is_deterministic_and_stops_at_the_size(tmp_path: Path) -> None:
    texts = ["velto has marfan syndrome", "dori has lupus"] * 5
    first, second = (tokenizer.train_bpe(texts, 290, tmp_path / name) for name in "ab")
    assert first.sha256 == second.sha256
    assert first.size == 290
    assert ChatTokenizer(tmp_path / "a").encode(texts[0]) == first.encode(texts[0])


def test_names_are_one_token_each_after_a_space(tmp_path: Path) -> None:
    names = ["lupus", "lupus nephritis", "Sjögren syndrome", "B-cell (type 2)"]
    made = tokenizer.train_bpe(["Here velto has lupus nephritis. What?"] * 3, 300, tmp_path, names)
    assert made.size <= 300
    for name in names:
        (id_,) = made.encode(f" {name}")
        assert made.decode([id_]) == f" {name}"
        assert len(made.encode(name)) > 1
        assert made.encode(f"Here velto has {name}.\nB) {name}; C) x").count(id_) == 2
    for text in ("lupus, lupus  lupus nephritis", " Sjögren syndromes", "A) B-cell (type 2)<|im_end|>\n"):
        assert made.decode(made.encode(text)) == text


def test_where_the_tokenizer_comes_from(chat: ChatTokenizer, tmp_path: Path) -> None:
    assert tokenizer.load(DataConfig(tokenizer=str(chat.folder))).sha256 == chat.sha256
    made = tokenizer.train_bpe(["abc"], 280, tmp_path)
    assert tokenizer.load(DataConfig(tokenizer="train", dir=str(tmp_path))).sha256 == made.sha256


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no tokenizer.json in {tmp_path}"):
        ChatTokenizer(tmp_path)


def test_a_tokenizer_without_chatml(chat: ChatTokenizer, tmp_path: Path) -> None:
    raw = (chat.folder / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(raw.replace("<|im_end|>", "<|other|>"))
    with pytest.raises(UserError, match=r"no token <\|im_end\|>"):
        ChatTokenizer(tmp_path)


@pytest.mark.parametrize("text", ["", "{", json.dumps({"version": "1.0"})])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match="tokenizer.json"):
        ChatTokenizer(tmp_path)
