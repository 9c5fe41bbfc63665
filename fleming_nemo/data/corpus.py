"""Megatron indexed datasets with a loss mask, as training reads them: `tokens.{bin,idx}`, `mask.{bin,idx}`.

The mask stream has the shape of the token stream; 1 marks a token that the loss is taken on.  The manifest is written
last: a directory without it was never finished.  `indexed/` builds large ones with several processes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.indexed import blend, manifest
from fleming_nemo.data.indexed.assemble import Assembly
from fleming_nemo.data.indexed.format import token_dtype
from fleming_nemo.data.indexed.manifest import FORMAT as FORMAT
from fleming_nemo.data.indexed.manifest import MANIFEST as MANIFEST
from fleming_nemo.data.indexed.part import Part
from fleming_nemo.data.indexed.reader import Corpus as Corpus
from fleming_nemo.data.tokenizer import ChatTokenizer

_AT_A_TIME = 4096


def write(
    folder: Path,
    documents: Iterable[tuple[list[int], list[int]]],
    tokenizer: ChatTokenizer,
    sources: dict[str, Any],
    config: dict[str, Any],
    pack: int = 0,
) -> dict[str, Any]:
    """Write (token ids, loss mask) pairs of equal length; returns the manifest.

    Args:
        sources: counts and licences of what the documents came from.
        config: the settings that made them; only recorded.
        pack: tokens of a pack, for a stored packing plan; 0 for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / ".building"
    dtype = token_dtype(tokenizer.size)
    assembly = Assembly(folder, work, dtype, pack)
    part = Part()
    for count, (tokens, mask) in enumerate(documents):
        if len(tokens) != len(mask):
            raise ValueError(f"document {count}: {len(tokens)} tokens but {len(mask)} mask entries")
        part.add(np.array(tokens, dtype).tobytes(), bytes(mask))
        if len(part) == _AT_A_TIME:
            assembly.append(part.stored())
            part = Part()
    assembly.append(part.stored())
    made = assembly.finish(tokenizer.sha256, {"sources": sources, "config": config})
    shutil.rmtree(work)
    return made


def check(folder: Path, tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The manifest of a whole corpus or blend made with this tokenizer; anything else is a UserError."""
    return blend.check(folder, tokenizer)


def open_corpus(folder: Path, tokenizer: ChatTokenizer) -> Corpus | blend.Blend:
    """The corpus in a directory, or the blend of corpora that it describes; refused as by `check`."""
    if blend.is_blend(manifest.read(folder)):
        return blend.Blend(folder, tokenizer)
    return Corpus(folder, tokenizer)


def verify(folder: Path) -> dict[str, Any]:
    """Read every byte of a corpus and compare it with the manifest's sha256; returns the manifest."""
    found = manifest.read(folder)
    if blend.is_blend(found):
        raise UserError(f"{folder} is a blend; verify the corpora that it names in {MANIFEST}")
    manifest.check_files(folder, found, everything=True)
    return found
