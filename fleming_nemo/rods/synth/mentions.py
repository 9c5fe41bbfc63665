"""How often curated questions mention each entity of the graph: what is under-covered, and by how much."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.table import KnowledgeGraph

COUNTED = ("disease", "drug", "gene", "mechanism")
_LONGEST = 10
_SHORTEST = 4
_HEADER = "id\tmentions"


def read_mentions(path: Path) -> dict[str, int]:
    """A tab-separated table with the header `id<TAB>mentions`.

    Raises UserError naming the line and field of a row that is not an id and a count.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a table of mentions, or leave it out.") from error
    if not lines or lines[0] != _HEADER:
        raise UserError(f"{path}, line 1: expected the header {_HEADER!r}.")
    table: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        identifier, tab, count = line.partition("\t")
        if not tab or not count.isdecimal():
            raise UserError(f"{path}, line {number}, field mentions: expected a count, found {count!r}.")
        if identifier in table:
            raise UserError(f"{path}, line {number}, field id: {identifier} occurs twice.")
        table[identifier] = int(count)
    return table


def write_mentions(path: Path, table: dict[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([_HEADER, *(f"{i}\t{table[i]}" for i in sorted(table))]) + "\n", encoding="utf-8")


def curated_texts(path: Path) -> Iterator[str]:
    """Question and options of every item of a JSONL file.

    Raises UserError naming the line that is not an item.
    """
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(tqdm(lines, desc="curated items", unit="item", disable=None), 1):
            try:
                row = json.loads(line)
                yield " . ".join([row["question"], *row["options"]])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}, line {number}: not an item ({error}); see data/items.py.") from error


def count_mentions(kg: KnowledgeGraph, texts: Iterable[str]) -> dict[str, int]:
    """Number of texts that hold a name or synonym of each disease, drug, gene or mechanism, as whole words.

    Names of fewer than four letters are left out: most of them are words of another meaning.
    """
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    longest: dict[str, int] = {}
    for node, kind in enumerate(kg.types):
        if kind in COUNTED:
            for text in {kg.names[node], *kg.synonyms[node]}:
                words = _words(text)
                if words and len(words) <= _LONGEST and sum(map(len, words)) >= _SHORTEST:
                    holders[words].append(node)
                    longest[words[0]] = max(longest.get(words[0], 0), len(words))
    found: Counter[int] = Counter()
    for text in texts:
        words = _words(text)
        seen: set[int] = set()
        for start, word in enumerate(words):
            for length in range(1, longest.get(word, 0) + 1):
                seen.update(holders.get(words[start : start + length], ()))
        found.update(seen)
    return {kg.ids[node]: count for node, count in sorted(found.items())}


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9]+|[\u4e00-\u9fff]", text.casefold()))
