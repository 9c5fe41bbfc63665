"""The reasoning is in the language of the question: by script, and between languages of one script by small words.

Names that the item itself holds count for neither side, nor do symbols, abbreviations and numbers, so that a Chinese
rationale may name a gene or a drug as the literature does.
"""

import re

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.reading.text import HAN, folded

_FOREIGN = 0.15
_SCRIPTS = {
    "han": HAN,
    "kana": re.compile(r"[\u3040-\u30ff]"),
    "hangul": re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "greek": re.compile(r"[\u0370-\u03ff]{2,}"),
}
_LATIN = re.compile(r"[a-zà-öø-ÿœß]{2,}")
_SMALL = {
    "en": "the of and is in to with for that this are not it which has have by on as from be no so its an but or if",
    "fr": "le la les des est une dans et du pour que qui avec sur par pas ne ce cette sont au aux plus donc elle ont",
    "de": "der die das und ist nicht mit ein eine von zu den dem auf für sich auch wird bei sind oder durch kein im",
    "es": "el los las una es en y con para que por del se no su al como más este esta son pero tiene por",
    "it": "il lo gli una è di che con per del della non sono nel alla dei le si un questo questa anche ma",
    "pt": "os as uma é em com para que por do da não são no na dos das se mais como este esta mas ao pelo",
    "nl": "de het een en van is niet met voor dat op zijn aan bij ook door wordt deze die te als geen",
}
_WORDS = {name: frozenset(text.split()) for name, text in _SMALL.items()}


def language(candidate: Candidate) -> str | None:
    """Share of the reasoning in another language than the question's above 15 %, or whole sentences of it."""
    wanted = _language_of(candidate)
    bare = [candidate.entities.masked(sentence) for sentence in candidate.sentences]
    sizes = [_size(sentence) for sentence in bare]
    foreign = [size for sentence, size in zip(bare, sizes, strict=True) if _other(sentence, wanted)]
    total = sum(sizes)
    if total and sum(foreign) > _FOREIGN * total:
        return f"not in the question's language ({wanted})"
    whole = _shares("\n".join(bare))
    if whole and wanted in ("zh", "en"):
        own = whole.get("han" if wanted == "zh" else "latin", 0)
        if own < (1 - 2 * _FOREIGN) * sum(whole.values()):
            return f"scripts do not fit the question's language ({wanted})"
    return None


def _language_of(candidate: Candidate) -> str:
    """By the question itself; an item's label only decides between languages of one script."""
    shares = _shares(candidate.item.question)
    if shares.get("kana", 0) > 0.1 * sum(shares.values()):
        return "ja"
    if shares.get("han", 0) > 0.4 * sum(shares.values()):
        return "zh"
    return candidate.item.language if candidate.item.language in _WORDS else "en"


def _size(sentence: str) -> int:
    return sum(_shares(sentence).values())


def _shares(text: str) -> dict[str, int]:
    """Units by script: Han and other characters one each and, as a word is about two of them, Latin words two each.

    Upper-case tokens are symbols of any language and are not counted; `text` that is folded has lost them already.
    """
    found = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    found["latin"] = 2 * len(_LATIN.findall(folded(text)))
    return {name: count for name, count in found.items() if count}


def _other(sentence: str, wanted: str) -> bool:
    shares = _shares(sentence)
    total = sum(shares.values())
    if total < 8:
        return False
    script = {"zh": "han", "ja": "kana"}.get(wanted, "latin")
    if shares.get(script, 0) < 0.5 * total and not (wanted == "ja" and shares.get("han", 0) > 0.5 * total):
        return True
    if script != "latin":
        return False
    tokens = _LATIN.findall(folded(sentence))
    hits = {name: sum(token in small for token in tokens) for name, small in _WORDS.items()}
    best = max(hits, key=lambda name: hits[name])
    return best != wanted and hits[best] >= 3 and hits[best] > 1.5 * hits.get(wanted, 0)
