"""What nodes are called, who shares a name with whom, and whether one name gives another away."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from fleming_nemo.rods.kg.table import KnowledgeGraph

LANGUAGES = ("en", "zh")
MAX_LENGTH = 90
# Symbols and codes: compared as whole tokens, because their letters mean nothing.
_SYMBOLS = ("gene", "variant")
_MODES_ZH = {
    "autosomal dominant": "常染色体显性遗传",
    "autosomal recessive": "常染色体隐性遗传",
    "x-linked": "X连锁遗传",
    "x-linked dominant": "X连锁显性遗传",
    "x-linked recessive": "X连锁隐性遗传",
    "y-linked": "Y连锁遗传",
    "mitochondrial": "线粒体遗传",
    "semidominant": "半显性遗传",
}
_EMPTY_WORDS = frozenset(
    ("abnormal", "abnormality", "and", "congenital", "disease", "disorder", "first", "for", "from", "mild", "other")
    + ("morphology", "recurrent", "second", "severe", "syndrome", "the", "type", "with", "related", "acute", "chronic")
)
_ZH_EMPTY = re.compile("综合征|先天性|遗传性|疾病|[病症型性]")


class Names:
    def __init__(self, kg: KnowledgeGraph) -> None:
        self._kg = kg
        holders: dict[str, set[int]] = defaultdict(set)
        for node, (name, synonyms) in enumerate(zip(kg.names, kg.synonyms, strict=True)):
            for text in (name, *synonyms):
                holders[text.casefold()].add(node)
        for node, chinese in enumerate(kg.names_zh):
            if chinese:
                holders[chinese.casefold()].add(node)
        self._holders = {text: tuple(sorted(nodes)) for text, nodes in holders.items()}
        self._texts: dict[tuple[int, str], str | None] = {}

    def text(self, node: int, language: str) -> str | None:
        """Name to show; None when there is none in the language or it is unfit to be read.

        Inheritance other than the Mendelian and mitochondrial modes (sporadic, polygenic ...) is never shown: it does
        not exclude the others.
        """
        if (node, language) not in self._texts:
            self._texts[node, language] = self._text(node, language)
        return self._texts[node, language]

    def _text(self, node: int, language: str) -> str | None:
        name = self._kg.names[node]
        kind = self._kg.types[node]
        if language == "zh" and kind not in _SYMBOLS:
            chinese = self._kg.names_zh[node]
            name = chinese or (_MODES_ZH.get(name.removesuffix(" inheritance").lower(), "") if _is_mode(kind) else "")
        if _is_mode(kind) and name.removesuffix(" inheritance").lower() not in _MODES_ZH and language == "en":
            return None
        return name if 2 <= len(name) <= MAX_LENGTH and "\n" not in name else None

    def other_texts(self, node: int) -> list[str]:
        """Synonyms that belong to this node alone and can stand for it."""
        return [
            text
            for text in self._kg.synonyms[node]
            if 4 <= len(text) <= MAX_LENGTH and self._holders[text.casefold()] == (node,) and "\n" not in text
        ]

    def alone(self, node: int, text: str) -> bool:
        """Whether nothing else of the node's type goes by the text."""
        kind = self._kg.types[node]
        return all(n == node or self._kg.types[n] != kind for n in self._holders.get(text.casefold(), ()))

    def twins(self, node: int) -> set[int]:
        """Nodes of the same type that share a name or synonym with it."""
        texts = (self._kg.names[node], *self._kg.synonyms[node])
        kind = self._kg.types[node]
        return {n for t in texts for n in self._holders[t.casefold()] if n != node and self._kg.types[n] == kind}

    def is_symbol(self, node: int) -> bool:
        return self._kg.types[node] in _SYMBOLS


def _is_mode(kind: str) -> bool:
    return kind == "inheritance"


def holds(text: str, name: str) -> bool:
    """Whether the text holds all words of the name, or a Chinese name as it stands."""
    return _words(name) <= _words(text) or (not name.isascii() and name in text)


class Telltale:
    """What the options of one list say, so that a shown text is checked against all of them at once.

    A text gives an option away when it holds all of its words, or when a content word of the one has the stem of five
    letters, or any part of seven, of a content word of the other ('cranial' and 'cranium'). For symbols (genes,
    variants) only the first rule counts.
    """

    def __init__(self, options: Iterable[tuple[str, bool]]) -> None:
        words = [_words(text) for text, _ in options]
        self._single = frozenset().union(*(w for w in words if len(w) == 1))
        # By one word each: most texts hold none of them, and the options need not be gone through.
        self._several = {max(sorted(w), key=len): w for w in words if len(w) > 1}
        self._more = [w for w in words if len(w) > 1 and self._several[max(sorted(w), key=len)] != w]
        spoken = [_features(text) for text, symbol in options if not symbol]
        self._features = tuple(frozenset().union(*(f[i] for f in spoken)) for i in range(4))
        self._known: dict[str, bool] = {}
        self.nodes: dict[int, bool] = {}
        """What users of the list found out about nodes: whether they may be shown beside it."""

    def in_text(self, shown: str) -> bool:
        """Whether the text gives one of the options away."""
        if shown not in self._known:
            words, own, others = _words(shown), _features(shown), self._features
            self._known[shown] = (
                not self._single.isdisjoint(words)
                or any(self._several[word] <= words for word in self._several.keys() & words)
                or any(more <= words for more in self._more)
                or not own[0].isdisjoint(others[1])
                or not own[1].isdisjoint(others[0])
                or not own[2].isdisjoint(others[2])
                or not own[3].isdisjoint(others[3])
            )
        return self._known[shown]


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+|[^\x00-\x7f]+", text.casefold()))


@cache
def _features(name: str) -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
    """(stems, parts of three to five letters, parts of seven letters, pairs of Chinese characters)."""
    words = [w for w in re.findall(r"[a-z]{3,}", name.lower()) if w not in _EMPTY_WORDS]
    parts = frozenset(part for w in words for n in (3, 4, 5) for part in _grams(w, n))
    sevens = frozenset(part for w in words for part in _grams(w, 7))
    chinese = frozenset(g for run in re.findall(r"[\u4e00-\u9fff]+", _ZH_EMPTY.sub(" ", name)) for g in _grams(run, 2))
    return frozenset(w[:5] for w in words), parts, sevens, chinese


def _grams(text: str, size: int) -> set[str]:
    return {text[i : i + size] for i in range(len(text) - size + 1)}
