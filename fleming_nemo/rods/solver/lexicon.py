"""Names in a text, looked up in the graph: the longest name wins, in English by words and in Chinese by characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fleming_nemo.rods.kg.table import KnowledgeGraph

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_LONGEST = 30
# A single word of so few letters ("WAS", "rest") is a name only where it is written as the graph writes it.
_SHORT = 5
# What the modes of inheritance are called in Chinese; the sources of the graph give no Chinese names for them.
_MODES_ZH = (
    ("autosomal dominant", "常染色体显性遗传"),
    ("autosomal recessive", "常染色体隐性遗传"),
    ("x linked", "X连锁遗传"),
    ("x linked dominant", "X连锁显性遗传"),
    ("x linked recessive", "X连锁隐性遗传"),
    ("y linked", "Y连锁遗传"),
    ("mitochondrial", "线粒体遗传"),
    ("semidominant", "半显性遗传"),
)


class Mention(NamedTuple):
    """Nodes that go by the name, and its first and last character plus one."""

    nodes: tuple[int, ...]
    start: int
    end: int


class Lexicon:
    """All names, synonyms and Chinese names of a graph."""

    def __init__(self, kg: KnowledgeGraph) -> None:
        self._nodes: dict[str, tuple[int, ...]] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._written: set[str] = set()
        lengths: dict[str, set[int]] = {}
        for node, (name, synonyms, chinese) in enumerate(zip(kg.names, kg.synonyms, kg.names_zh, strict=True)):
            for text in (name, *synonyms, *((chinese,) if chinese else ())):
                self._add(text, node, lengths)
        modes = [n for n, kind in enumerate(kg.types) if kind == "inheritance"]
        for node in modes:
            plain = _key(kg.names[node]).removesuffix(" inheritance")
            for english, chinese in _MODES_ZH:
                if plain == english:
                    self._add(chinese, node, lengths)
        self._lengths = {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()}

    def _add(self, text: str, node: int, lengths: dict[str, set[int]]) -> None:
        words = _TOKEN.findall(text.casefold())
        if not words or len(words) > _LONGEST or (len(words) == 1 and len(words[0]) == 1):
            return
        key = " ".join(words)
        known = self._nodes.get(key, ())
        if node not in known:
            self._nodes[key] = (*known, node)
        if len(key) <= _SHORT:
            self._written.add(text)
        lengths.setdefault(words[0], set()).add(len(words))

    def whole(self, text: str) -> tuple[int, ...]:
        """Nodes whose name is the whole text."""
        return self._nodes.get(_key(text), ())

    def mentions(self, text: str) -> Iterator[Mention]:
        """Names from left to right; none overlaps another."""
        tokens = [(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text)]
        words = [word.casefold() for word, _, _ in tokens]
        at = 0
        while at < len(words):
            for length in self._lengths.get(words[at], ()):
                if at + length > len(words):
                    continue
                key = " ".join(words[at : at + length])
                nodes = self._nodes.get(key)
                start, end = tokens[at][1], tokens[at + length - 1][2]
                if nodes and (len(key) > _SHORT or text[start:end] in self._written):
                    yield Mention(nodes, start, end)
                    at += length
                    break
            else:
                at += 1


def _key(text: str) -> str:
    return " ".join(_TOKEN.findall(text.casefold()))
