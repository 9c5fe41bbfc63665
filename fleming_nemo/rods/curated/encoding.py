"""Texts that went through the wrong encoding: repaired where that is certain, else told.

UTF-8 bytes read as Windows-1252 ("Ã©" for "é", "â€™" for an apostrophe) turn back without loss: a run of such
characters whose bytes are valid UTF-8 was UTF-8. What is lost for good (U+FFFD, "锟斤拷") cannot be repaired.
"""

from __future__ import annotations

import re
from collections import Counter

from fleming_nemo.rods.curated.rejects import Refused

_SINGLE_BYTE = {chr(code): bytes([code]) for code in range(0x80, 0x100)}
_SINGLE_BYTE |= {
    bytes([code]).decode("cp1252"): bytes([code])
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_RUN = re.compile(f"[{re.escape(''.join(_SINGLE_BYTE))}]{{2,}}")
# Marks that no text needs: byte order mark, zero width, soft hyphen, direction marks.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_LOST = re.compile(
    "\ufffd|锟斤拷|烫烫烫|屯屯屯|[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u0084\u0086-\u009f]|[\ue000-\uf8ff]"
)
_BLANKS = re.compile(r"[^\S\n]+")


def repair_encoding(text: str, changes: Counter[str]) -> str:
    """The text with mojibake turned back, invisible marks and runs of blanks removed. Does not refuse anything."""
    if text.isascii():
        fixed = text
    else:
        fixed = _RUN.sub(_as_utf8, text)
        changes["mojibake repaired"] += fixed != text
    clean = _INVISIBLE.sub("", fixed)
    changes["invisible characters removed"] += clean != fixed
    return "\n".join(_BLANKS.sub(" ", line).strip() for line in clean.replace("\u000c", "\n").split("\n")).strip()


def check_encoding(text: str, field: str) -> str:
    """The text itself. Refused when it holds what an earlier conversion destroyed."""
    lost = _LOST.search(text)
    if lost:
        raise Refused(field, f"encoding artefact: {lost[0]!r} (U+{ord(lost[0][0]):04X}) at character {lost.start()}")
    return text


def _as_utf8(run: re.Match[str]) -> str:
    try:
        return b"".join(_SINGLE_BYTE[c] for c in run[0]).decode("utf-8")
    except UnicodeDecodeError:
        return run[0]
