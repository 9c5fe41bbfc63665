"""What a corpus says about itself, and whether that is so.

At every start: sizes, and the content of all small files (indices, checksums, packing plan).  The large ones, tokens
and mask, are not read at that point: every document carries a checksum that is compared whenever the document is read,
which finds damage at any time, also after the start, and costs a microsecond.  `verify` reads everything at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256
from fleming_nemo.data.indexed.format import Index
from fleming_nemo.data.tokenizer import ChatTokenizer

MANIFEST = "manifest.json"
CHECKSUMS = "checksums.bin"
"""CRC-32 of every document (uint32): of its tokens and, after them, its mask."""
FORMAT = 2
STREAMS = ("tokens", "mask")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a finished corpus or blend; UserError where there is none that this version reads."""
    file = folder / MANIFEST
    if not file.is_file():
        raise UserError(
            f"no corpus in {folder} (manifest.json is missing); build one with data_prep/build_indexed.py "
            "or point data.dir at it"
        )
    try:
        manifest = read_json(file)
    except ValueError as error:  # not JSON, or not text
        raise UserError(f"{file} is corrupt ({error}); build the corpus again") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise UserError(f"{file} has format {found} and this version reads {FORMAT}; update fleming-nemo")
    if found != FORMAT:
        raise UserError(f"{file} does not describe a corpus of format {FORMAT}; build the corpus again")
    return manifest


def check(folder: Path, tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The manifest of a whole corpus made with this tokenizer; anything else is a UserError."""
    manifest = read(folder)
    if manifest["tokenizer_sha256"] != tokenizer.sha256:
        raise UserError(
            f"the corpus in {folder} was made with another tokenizer than {tokenizer.folder}; "
            "set data.tokenizer to the one it was made with, or build the corpus again"
        )
    check_files(folder, manifest)
    return manifest


def check_files(folder: Path, manifest: dict[str, Any], everything: bool = False) -> None:
    """Compare the files with the manifest; the two large ones by size alone, unless `everything` is asked for."""
    for name, expected in manifest["files"].items():
        file = folder / name
        found = file.stat().st_size if file.is_file() else 0
        if found != expected["bytes"]:
            raise UserError(
                f"{file} has {found} bytes where the manifest says {expected['bytes']}: it is truncated or of "
                "another build; build the corpus again"
            )
        if (everything or not name.endswith(".bin") or name == CHECKSUMS) and sha256(file) != expected["sha256"]:
            raise UserError(
                f"{file} differs from the manifest's sha256: it is corrupt or of another build; build the corpus again"
            )
    tokens, mask = (Index(folder / f"{stream}.idx") for stream in STREAMS)
    for stream, index in zip(STREAMS, (tokens, mask), strict=True):
        index.check(folder / f"{stream}.bin")
    if len(tokens) != len(mask) or (tokens.lengths != mask.lengths).any():
        raise UserError(f"mask.idx and tokens.idx of {folder} differ in their lengths; build the corpus again")
    if len(tokens) != manifest["documents"]:
        raise UserError(
            f"{folder} has {len(tokens)} documents where its manifest says {manifest['documents']}; build it again"
        )
