"""Where a text names an option, a finding or another node of an item's proof. The longest name wins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleming_nemo.data.items import LETTERS, QAItem
from fleming_nemo.distill.proof import Proof, is_synthetic, proof_of
from fleming_nemo.distill.reading.text import folded

_LETTER = (
    r"(?:(?<![\w-])([{0}])(?=\s*[)）]|[.、:：]\s)|(?:option|choice|answer|选项|选择|选|答案(?:是|"
    r"为)?)\s*[(（]?([{0}])(?![\w-])|(?<![\w-])([{0}])\s*(?:选项|项))"
)

_LIST = re.compile(r"[(（]\s*([A-Z](?:\s*(?:,|、|，|and|or|和|或|及)\s*(?:and\s+|or\s+)?[A-Z])+)\s*[)）]")


@dataclass(frozen=True, slots=True)
class Mention:
    """One place in a text. `kind` is option, clue or node; `key` the option's letter, the clue's text or the node."""

    kind: str
    key: str
    start: int
    end: int


@dataclass(slots=True)
class Entities:
    """Names of one item. Without a proof only its options are known."""

    item: QAItem
    proof: Proof | None
    _keys: dict[str, tuple[tuple[str, str], ...]] = field(init=False)
    _pattern: re.Pattern[str] = field(init=False)
    _letters: re.Pattern[str] = field(init=False)
    _last: str = field(init=False)
    _marks: dict[str, str] = field(init=False)
    _found: dict[str, tuple[Mention, ...]] = field(init=False, default_factory=dict)
    _masked: dict[tuple[str, str], str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        named: dict[str, list[tuple[str, str]]] = {}
        for letter, option in zip(LETTERS, self.item.options, strict=False):
            named.setdefault(folded(option), []).append(("option", letter))
        if self.proof is not None:
            for clue in self.proof.clues:
                for name in clue.names:
                    named.setdefault(folded(name), []).append(("clue", clue.text))
            options = {row["node"]: row["option"] for row in self.item.provenance["distractors"]}
            letters = dict(zip(self.item.options, LETTERS, strict=False))
            for node, called in self.proof.names.items():
                at = letters.get(options.get(node, ""))
                at = self.proof.letter if node == self.proof.path[-1] else at
                for name in called:
                    named.setdefault(folded(name), []).append(("node", node))
                    if at:
                        named[folded(name)].append(("option", at))
        self._keys = {name: tuple(dict.fromkeys(keys)) for name, keys in named.items()}
        self._marks = {name: f" n{number} " for number, name in enumerate(self._keys)}
        initials: dict[str, list[str]] = {}
        for name in sorted(self._keys, key=len, reverse=True):
            initials.setdefault(name[0], []).append(re.escape(name[1:]))
        # Grouped by first letter: the search then looks at a fraction of the names at each place. Han text has no
        # blanks between words; a Latin name must not be the middle of a longer word.
        names = "|".join(f"{re.escape(initial)}(?:{'|'.join(rest)})" for initial, rest in initials.items())
        self._pattern = re.compile(rf"(?<![a-z0-9])(?:{names})(?![a-z0-9])")
        self._last = LETTERS[max(len(self.item.options) - 1, 0)]
        self._letters = re.compile(_LETTER.format(f"A-{self._last}"))

    def find(self, text: str) -> tuple[Mention, ...]:
        """All mentions in order of place; places are those in the folded text, for nearly all texts those in `text`."""
        if text not in self._found:
            self._found[text] = self._find(text)
        return self._found[text]

    def _find(self, text: str) -> tuple[Mention, ...]:
        low = folded(text)
        if len(low) != len(text):  # a folded character may be longer: places then count in the folded text
            text = low
        places = list(self._pattern.finditer(low))
        found = [Mention(kind, key, m.start(), m.end()) for m in places for kind, key in self._keys[m.group()]]
        for match in self._letters.finditer(text):
            letter = next(group for group in match.groups() if group)
            if not any(m.start() < match.end() and match.start() < m.end() for m in places):
                found.append(Mention("option", letter, match.start(), match.end()))
        for match in _LIST.finditer(text):
            letters = re.finditer(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", match.group())
            places_of = [(m.group(), match.start() + m.start()) for m in letters]
            found += [Mention("option", key, at, at + 1) for key, at in places_of if key <= self._last]
        return tuple(sorted(found, key=lambda mention: mention.start))

    def options_in(self, text: str) -> list[str]:
        """Letters of the options named, each once, in order."""
        return list(dict.fromkeys(m.key for m in self.find(text) if m.kind == "option"))

    def masked(self, text: str, mark: str = " ") -> str:
        """The folded text with every name taken out."""
        if (text, mark) not in self._masked:
            self._masked[text, mark] = self._pattern.sub(mark, folded(text))
        return self._masked[text, mark]

    def blanked(self, text: str) -> str:
        """The text as written with every name taken out."""
        for start, end in sorted({(m.start, m.end) for m in self.find(text)}, reverse=True):
            text = f"{text[:start]}_{text[end:]}"
        return text

    def numbered(self, text: str) -> str:
        """The folded text with a short word of its own in place of each name."""
        return self._pattern.sub(lambda match: self._marks[match.group()], folded(text))

    def names(self) -> Iterator[str]:
        return iter(self._keys)


def entities_of(item: QAItem) -> Entities:
    return Entities(item, proof_of(item) if is_synthetic(item) else None)
