"""Text as the overlap filters compare it: no case, accents, width, markup or look-alike letters."""

import html
import re
import unicodedata

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
    if text.isascii():
        return text.lower().replace("\n", " ")
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return text.translate(_LETTERS)


# Signs that tell two options apart: 'pH < 7' and 'pH > 7', '+1' and '-1', '1.5' and '15'.
_MEANINGLESS = re.compile(
    r"(?<!\d)[.,](?!\d)|(?<=\d)[.,](?!\d)|(?<!\d)[.,](?=\d)|-(?!\d)|(?<=\w)-|[^\w\s.,<>=+%/^°±≤≥-]|_"
)


def readable_key(text: str) -> str:
    """Folded words with single spaces; of the punctuation only the signs that change what a number says."""
    return " ".join(_MEANINGLESS.sub(" ", fold(text)).split())
