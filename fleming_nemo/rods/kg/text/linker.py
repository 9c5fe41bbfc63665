"""Find names of the graph's nodes in a text: longest match first, by names and synonyms that stand for one node."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fleming_nemo.rods.kg.names import folded
from fleming_nemo.rods.kg.table import Node

_WORD = re.compile(r"[^\W_]+")
_CJK = re.compile("[\u3400-\u9fff]")
MIN_LETTERS = 4  # shorter names ("MS", "CAT") are mostly something else, so they link by the page's own statement only
MAX_WORDS = 12


@dataclass(frozen=True, slots=True)
class Mention:
    start: int
    end: int
    text: str
    id: str


class Linker:
    def __init__(self, nodes: list[Node]) -> None:
        """Preferred names win over synonyms; what two nodes share links to neither."""
        self._by_name: dict[str, str] = {}
        for texts in ([(n.id, (n.name,)) for n in nodes], [(n.id, n.synonyms) for n in nodes]):
            level: dict[str, set[str]] = {}
            for identifier, names in texts:
                for name in names:
                    level.setdefault(folded(name), set()).add(identifier)
            for key, ids in level.items():
                if key and key not in self._by_name:
                    self._by_name[key] = next(iter(ids)) if len(ids) == 1 else ""
        self._by_name = {key: found for key, found in self._by_name.items() if found}
        self._starts = {key.split(" ")[0] for key in self._by_name}
        self._chinese = {n.name_zh: n.id for n in nodes if n.name_zh}

    def named(self, name: str) -> str:
        """Id of the node of this very name, or ''."""
        return self._by_name.get(folded(name)) or self._chinese.get(name.strip(), "")

    def mentions(self, text: str) -> Iterator[Mention]:
        """Mentions from left to right that do not overlap."""
        words = [(m.start(), m.end(), folded(m[0])) for m in _WORD.finditer(text)]
        index = 0
        while index < len(words):
            taken = 1
            if words[index][2].split(" ")[0] in self._starts:
                for size in range(min(MAX_WORDS, len(words) - index), 0, -1):
                    key = " ".join(word for _, _, word in words[index : index + size])
                    if len(key) >= MIN_LETTERS and (found := self._by_name.get(key)):
                        start, end = words[index][0], words[index + size - 1][1]
                        yield Mention(start, end, text[start:end], found)
                        taken = size
                        break
            index += taken
        if _CJK.search(text):
            yield from self._chinese_mentions(text)

    def _chinese_mentions(self, text: str) -> Iterator[Mention]:
        for name, identifier in sorted(self._chinese.items(), key=lambda item: (-len(item[0] or ""), item[0] or "")):
            if name and len(name) > 1 and (start := text.find(name)) >= 0:
                yield Mention(start, start + len(name), name, identifier)
