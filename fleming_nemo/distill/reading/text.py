"""Sentences, words and scripts of English and Chinese text."""

import re
import unicodedata

_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+|(?<=[。！？])[”’）*]*|\n+")
_WORD = re.compile(r"[^\W\d_]+\d*(?:['’-][^\W\d_]+)*|\d+(?:\.\d+)?")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def sentences(text: str) -> list[str]:
    """Sentences and lines without their surrounding blanks; a full stop inside a name or number ends nothing."""
    return [part.strip() for part in _END.split(text) if part.strip()]


def folded(text: str) -> str:
    """Compatibility forms and case folded, same order of characters: for comparing, not for showing."""
    return unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """Units that a reader counts: words of alphabetic scripts, numbers, and each Han character by itself."""
    found: list[str] = []
    for match in _WORD.finditer(folded(text)):
        token = match.group()
        if HAN.search(token):
            for piece in re.split(f"({HAN.pattern})", token):
                if piece:
                    found.append(piece)
        else:
            found.append(token)
    return found
