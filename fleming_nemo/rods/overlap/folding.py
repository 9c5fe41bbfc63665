"""Text as the overlap filters compare it: no case, accents, width, markup or look-alike letters."""

import html
import re
import unicodedata
from functools import lru_cache

# Markup inside a word goes without a trace (H<sub>2</sub>O), every other tag parts two words.
_INLINE = re.compile(r"</?(?:b|i|u|em|strong|sub|sup|font|span)\b[^<>]{0,200}>", re.IGNORECASE)
_BLOCK = re.compile(r"</?(?:p|br|div|li|ul|ol|table|tr|td|th|h[1-6])\b[^<>]{0,200}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\w{1,8}|[A-Za-z]{2,10});")
# Cyrillic letters that look Latin, as a copy through an OCR or a deliberate disguise has them.
_LOOK_ALIKES = str.maketrans("аеорсухіјѕԁһӏвкмнт", "aeopcyxijsdhlbkmht")
_GREEK = {
    ord(letter): name
    for letter, name in {
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "κ": "kappa", "λ": "lambda",
        "μ": "mu", "σ": "sigma", "ω": "omega",
    }.items()
}  # fmt: skip


_FOREIGN = re.compile(r"[^\x00-\x7f]+")


class _Letters(dict[int, str]):
    """What becomes of a character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        invisible = unicodedata.category(char) in ("Mn", "Cf")
        self[code] = "" if invisible else char.translate(_LOOK_ALIKES).translate(_GREEK)
        return self[code]


_LETTERS = _Letters({ord("\n"): " "})


def fold(text: str) -> str:
    """Lower-case NFKC text without accents, invisible characters and simple markup. Line breaks become spaces.

    Russian and Greek become unreadable, but the same text always becomes the same letters.
    """
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if "<" in text:
        text = _BLOCK.sub(" ", _INLINE.sub("", text))
    if not text.isascii():
        # ASCII folds letter by letter, so that only what stands between it is looked at closely.
        text = _FOREIGN.sub(_foreign, text)
    return text.lower().replace("\n", " ")


def _foreign(match: re.Match[str]) -> str:
    run = match[0]
    return _short_run(run) if len(run) <= 4 else _run(run)


def _run(run: str) -> str:
    run = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", run).casefold())
    return run.translate(_LETTERS)


_short_run = lru_cache(maxsize=1 << 14)(_run)


# Signs that tell two options apart: 'pH < 7' and 'pH > 7', '+1' and '-1', '1.5' and '15'.
_MEANINGLESS = re.compile(
    r"(?<!\d)[.,](?!\d)|(?<=\d)[.,](?!\d)|(?<!\d)[.,](?=\d)|-(?!\d)|(?<=\w)-|[^\w\s.,<>=+%/^°±≤≥-]|_"
)


def readable_key(text: str) -> str:
    """Folded words with single spaces; of the punctuation only the signs that change what a number says."""
    return " ".join(_MEANINGLESS.sub(" ", fold(text)).split())
