"""Indexed corpora: what goes in comes out, and anything that is not whole is refused by name."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import corpus
from fleming_nemo.data.chat import render_response
from fleming_nemo.data.corpus import Corpus
from fleming_nemo.data.files import sha256
from fleming_nemo.data.tokenizer import ChatTokenizer, train_bpe

Documents = list[tuple[list[int], list[int]]]
DOCUMENTS: Documents = [([5, 6, 7, 300], [0, 0, 1, 1]), ([8], [0]), ([9, 10, 11], [0, 1, 1])]


@pytest.fixture
def folder(tmp_path: Path, chat: ChatTokenizer) -> Path:
    corpus.write(tmp_path / "corpus", DOCUMENTS, chat, sources={"kg": {"items": 3}}, config={"seed": 1})
    return tmp_path / "corpus"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    documents=st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 1)), min_size=1, max_size=20), min_size=1, max_size=8
    )
)
def test_round_trip(documents: list[list[tuple[int, int]]], tmp_path: Path, chat: ChatTokenizer) -> None:
    pairs = [([t for t, _ in d], [m for _, m in d]) for d in documents]
    manifest = corpus.write(tmp_path / "corpus", pairs, chat, {}, {})
    read = Corpus(tmp_path / "corpus", chat)
    assert len(read) == len(pairs)
    for (tokens, mask), (got_tokens, got_mask) in zip(pairs, (read[i] for i in range(len(read))), strict=True):
        assert got_tokens.tolist() == tokens and got_mask.tolist() == mask
    assert manifest["tokens"] == sum(len(d) for d in documents)
    assert manifest["trained_tokens"] == sum(m for d in documents for _, m in d)
    assert manifest["longest"] == max(map(len, documents))


def test_manifest_says_what_is_inside(folder: Path, chat: ChatTokenizer) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["tokenizer_sha256"] == chat.sha256
    assert (manifest["documents"], manifest["tokens"], manifest["trained_tokens"]) == (3, 8, 4)
    assert manifest["sources"] == {"kg": {"items": 3}} and manifest["config"] == {"seed": 1}
    assert set(manifest["files"]) == {"tokens.bin", "tokens.idx", "mask.bin", "mask.idx", "checksums.bin"}


def test_the_mask_of_a_rendered_turn_covers_exactly_the_assistants_tokens(tmp_path: Path, chat: ChatTokenizer) -> None:
    """The way `launch.prepare` makes documents: prompt and response are encoded apart."""
    response = render_response("velto has marfan", "A")
    prompt_ids = chat.encode("<|im_start|>user\nWhat has velto?<|im_end|>\n<|im_start|>assistant\n")
    response_ids = chat.encode(response)
    document = (prompt_ids + response_ids, [0] * len(prompt_ids) + [1] * len(response_ids))
    corpus.write(tmp_path, [document], chat, {}, {})
    tokens, mask = Corpus(tmp_path, chat)[0]
    assert chat.decode(tokens[mask == 1].tolist()) == response
    assert tokens[mask == 1][-1] == chat.end_id


def test_mask_and_tokens_must_be_of_one_length(tmp_path: Path, chat: ChatTokenizer) -> None:
    with pytest.raises(ValueError, match="document 1"):
        corpus.write(tmp_path, [DOCUMENTS[0], ([1, 2], [0])], chat, {}, {})
    with pytest.raises(UserError, match="manifest.json is missing"):
        Corpus(tmp_path, chat)


def flip_last_bit(file: Path) -> None:
    with open(file, "r+b") as opened:  # in place: a map of the file sees it
        opened.seek(-1, os.SEEK_END)
        (last,) = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last ^ 1]))


def describe_as_it_is(folder: Path) -> None:
    """Let the manifest agree with the files, so that only what they say can give a mixture away."""
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {name: folder / name for name in manifest["files"]}
    manifest["files"] = {name: {"bytes": f.stat().st_size, "sha256": sha256(f)} for name, f in files.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


class TestRefusals:
    def test_no_corpus(self, tmp_path: Path, chat: ChatTokenizer) -> None:
        with pytest.raises(UserError, match="manifest.json is missing"):
            Corpus(tmp_path, chat)

    @pytest.mark.parametrize("name", ["tokens.bin", "tokens.idx", "mask.bin", "mask.idx"])
    def test_truncated(self, folder: Path, chat: ChatTokenizer, name: str) -> None:
        file = folder / name
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(UserError, match=rf"{name} has \d+ bytes .* truncated"):
            Corpus(folder, chat)

    @pytest.mark.parametrize("name", ["tokens.idx", "mask.idx", "checksums.bin"])
    def test_one_bit_flipped_in_a_small_file(self, folder: Path, chat: ChatTokenizer, name: str) -> None:
        flip_last_bit(folder / name)
        with pytest.raises(UserError, match=rf"{name} .*corrupt"):
            Corpus(folder, chat)

    @pytest.mark.parametrize("name", ["tokens.bin", "mask.bin"])
    def test_one_bit_flipped_in_a_large_file(self, folder: Path, chat: ChatTokenizer, name: str) -> None:
        """Found when the document is read, also where the damage happens after the start."""
        corpus_ = Corpus(folder, chat)
        flip_last_bit(folder / name)
        assert corpus_[1][0].tolist() == DOCUMENTS[1][0]
        with pytest.raises(UserError, match=f"document 2 in {folder} is corrupt"):
            corpus_[2]
        with pytest.raises(UserError, match=f"{name} .*corrupt"):
            corpus.verify(folder)

    def test_index_of_another_build(self, folder: Path, chat: ChatTokenizer, tmp_path: Path) -> None:
        """Of the same size, and with a manifest that agrees."""
        other = [([5, 6, 7], [0, 0, 1]), ([8, 9], [0, 1]), ([9, 10, 11], [0, 1, 1])]
        assert corpus.write(tmp_path / "other", [*other[:2], ([9, 10], [0, 1])], chat, {}, {})["tokens"] == 7
        for name in ("tokens.idx", "mask.idx"):
            shutil.copy(tmp_path / "other" / name, folder / name)
        with pytest.raises(UserError, match="tokens.idx .*of another build"):
            Corpus(folder, chat)
        describe_as_it_is(folder)
        with pytest.raises(UserError, match=r"tokens.bin has 16 bytes and tokens.idx describes 14: .*different builds"):
            Corpus(folder, chat)

    def test_mask_of_another_length(self, folder: Path, chat: ChatTokenizer, tmp_path: Path) -> None:
        documents = [*DOCUMENTS[:2], ([9, 10, 11, 12], [0, 1, 1, 1])]
        corpus.write(tmp_path / "other", documents, chat, {}, {})
        for name in ("mask.idx", "mask.bin"):
            shutil.copy(tmp_path / "other" / name, folder / name)
        describe_as_it_is(folder)
        with pytest.raises(UserError, match=r"mask.idx and tokens.idx .*differ in their lengths"):
            Corpus(folder, chat)

    def test_a_file_that_is_no_index(self, folder: Path, chat: ChatTokenizer) -> None:
        (folder / "mask.idx").write_bytes(b"MMIDIDX")
        describe_as_it_is(folder)
        with pytest.raises(UserError, match="mask.idx is no index of a Megatron dataset"):
            Corpus(folder, chat)

    def test_missing_file(self, folder: Path, chat: ChatTokenizer) -> None:
        (folder / "mask.bin").unlink()
        with pytest.raises(UserError, match="mask.bin has 0 bytes"):
            Corpus(folder, chat)

    def test_another_tokenizer(self, folder: Path, tmp_path: Path) -> None:
        other = train_bpe(["entirely different words"], 300, tmp_path / "other")
        with pytest.raises(UserError, match=f"{folder} was made with another tokenizer than {other.folder}"):
            Corpus(folder, other)

    def test_manifest_of_a_newer_format(self, folder: Path, chat: ChatTokenizer) -> None:
        manifest = json.loads((folder / "manifest.json").read_text()) | {"format": corpus.FORMAT + 1}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(UserError, match="update fleming-nemo"):
            Corpus(folder, chat)

    @pytest.mark.parametrize("text", ["", "{", '{"documents": 3}', '{"format": 1}', "[]"])
    def test_manifest_cut_or_foreign(self, folder: Path, chat: ChatTokenizer, text: str) -> None:
        (folder / "manifest.json").write_text(text)
        with pytest.raises(UserError, match="manifest.json"):
            Corpus(folder, chat)


def test_large_vocabularies_need_wider_tokens(
    tmp_path: Path, chat: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "size", 151_936)
    corpus.write(tmp_path, [([151_935, 3], [0, 1])], chat, {}, {})
    tokens, _ = Corpus(tmp_path, chat)[0]
    assert tokens.tolist() == [151_935, 3] and tokens.dtype == np.int32
