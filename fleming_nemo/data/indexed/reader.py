"""A corpus on disk as a sequence of documents and a stream of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.indexed.format import Index
from fleming_nemo.data.indexed.manifest import CHECKSUMS, check
from fleming_nemo.data.indexed.packs import Packs
from fleming_nemo.data.indexed.part import checksum
from fleming_nemo.data.order import take
from fleming_nemo.data.tokenizer import ChatTokenizer


class Corpus:
    """Random access to (token ids, loss mask) of a checked corpus, memory-mapped.

    The sample, what a seed orders and a global batch counts, is the pack where the corpus has a packing plan, so that
    all steps have about the same number of tokens; without one it is the document.
    """

    def __init__(self, folder: Path, tokenizer: ChatTokenizer) -> None:
        self.manifest = check(folder, tokenizer)
        self._folder = folder
        self._index = Index(folder / "tokens.idx")
        # views of plain arrays keep the map alive; np.memmap's own slicing takes ten times as long
        self._tokens = np.asarray(np.memmap(folder / "tokens.bin", np.uint8, "r"))
        self._mask = np.asarray(np.memmap(folder / "mask.bin", np.uint8, "r"))
        self._checksums = np.asarray(np.memmap(folder / CHECKSUMS, "<u4", "r"))
        self._packs = Packs(folder) if self.manifest["pack"] else None

    def __len__(self) -> int:
        """Documents."""
        return len(self._index)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every document."""
        return self._index.lengths

    @property
    def packed(self) -> bool:
        return self._packs is not None

    @property
    def num_samples(self) -> int:
        return len(self) if self._packs is None else len(self._packs)

    def sample(self, number: int) -> np.ndarray:
        """Numbers of the documents of a sample."""
        return np.array([number]) if self._packs is None else self._packs[number]

    def samples(self, start: int, count: int, seed: int, shuffle: bool = True) -> list[np.ndarray]:
        """Documents of the samples at positions `start` .. `start + count` of the endless stream.

        A pure function of its arguments, in which every epoch of `num_samples` positions has every sample once.
        """
        return [self.sample(number) for number in take(start, count, self.num_samples, seed, shuffle)]

    def __getitem__(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and mask, read-only; a UserError where the document is not what was written."""
        length, at = int(self._index.lengths[document]), int(self._index.offsets[document])
        width = self._index.dtype.itemsize
        tokens = self._tokens[at : at + length * width]
        mask = self._mask[at // width : at // width + length]
        if checksum(tokens, mask) != self._checksums[document]:
            raise UserError(
                f"document {document} in {self._folder} is corrupt (its checksum differs); build the corpus again"
            )
        return tokens.view(self._index.dtype), mask
