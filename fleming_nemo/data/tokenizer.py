"""The run's tokenizer: any Hugging Face `tokenizer.json`, known by the hash of its file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DataConfig

NANO_DIR = Path(__file__).parent.parent / "model" / "nano"
END_OF_TURN = "<|im_end|>"
PAD = "<|endoftext|>"
SPECIAL_TOKENS = [PAD, "<|im_start|>", END_OF_TURN, "<think>", "</think>", "<answer>", "</answer>"]


class ChatTokenizer:
    """Text to token ids and back; ChatML's special tokens are recognised inside the text.

    Attributes:
        sha256: hash of `tokenizer.json`; corpora carry it and are refused under another one.
        size: number of ids that can be decoded; ids from here on are padding rows of the embedding.
        tokenizer: the Hugging Face tokenizer itself.
        end_id, pad_id: ids of `<|im_end|>` and `<|endoftext|>`.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UserError(f"no tokenizer.json in {folder}; give data.tokenizer a Hugging Face tokenizer folder")
        raw = file.read_bytes()
        self.folder = folder
        self.sha256 = hashlib.sha256(raw).hexdigest()
        try:
            self.tokenizer = Tokenizer.from_buffer(raw)
        except ValueError as error:
            raise UserError(f"{file} is not a Hugging Face tokenizer ({error}); copy it again") from error
        self.size = self.tokenizer.get_vocab_size()
        self.end_id = self._special(END_OF_TURN)
        self.pad_id = self._special(PAD)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def _special(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise UserError(f"{self.folder}/tokenizer.json has no token {token}; a ChatML tokenizer is needed")
        return found


def load(data: DataConfig) -> ChatTokenizer:
    """The tokenizer that `data.tokenizer` names."""
    folder = {"nano": NANO_DIR, "train": Path(data.dir)}.get(data.tokenizer, Path(data.tokenizer))
    return ChatTokenizer(folder)


def train_bpe(texts: Iterable[str], vocab_size: int, folder: Path, names: Iterable[str] = ()) -> ChatTokenizer:
    """Train a compact byte-level BPE tokenizer with ChatML's special tokens and write `folder/tokenizer.json`.

    Letters and punctuation stay apart from words (a letter of an option is always a token of its own), and a space
    belongs to the word after it, as in Qwen's tokenizer.

    Args:
        names: phrases that become one token each where a space stands before them.  A model of a million parameters
            has no capacity to spare for spelling the entities that it is asked about.
    """
    entities = [AddedToken(f" {name}", normalized=False) for name in sorted(set(names))]
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\n+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(entities),
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    if entities:
        # merges are not spent on words that only occur inside a name
        known = re.compile("|".join(re.escape(str(e.content)) for e in sorted(entities, key=lambda e: -len(e.content))))
        texts = (known.sub("", text) for text in texts)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(entities)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return ChatTokenizer(folder)
