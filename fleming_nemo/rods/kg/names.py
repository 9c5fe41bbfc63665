"""Names as keys: case, accents, punctuation and spacing do not matter."""

import re
import unicodedata

_NOT_WORD = re.compile(r"[\W_]+")


def folded(name: str) -> str:
    """'Abémaciclib ' and 'abemaciclib' are one key; Greek and Chinese letters stay."""
    if not name.isascii():
        parts = unicodedata.normalize("NFKD", name)
        name = "".join(part for part in parts if not unicodedata.combining(part))
    return _NOT_WORD.sub(" ", name.casefold()).strip()


def slug(name: str) -> str:
    """A name as the local part of an id."""
    return folded(name).replace(" ", "-")
