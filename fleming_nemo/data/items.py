"""The QA item that every stage shares, and its JSONL form."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_jsonl

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIFFICULTIES = ("easy", "moderate", "difficult")


class ItemError(ValueError):
    """An item breaks the schema; `field` names the culprit."""

    def __init__(self, field_name: str, problem: str) -> None:
        super().__init__(f"field {field_name}: {problem}")
        self.field = field_name


@dataclass(frozen=True, slots=True)
class QAItem:
    """One question. `options` holds 0..26 strings (0 = open-ended); `answer` is then a text, else a 0-based index.

    `provenance` says where the item comes from (dataset, revision, licence; for source "kg" also the graph path, the
    masked nodes and the move behind each distractor). Raises ItemError when a field breaks the schema.
    """

    id: str
    question: str
    options: tuple[str, ...]
    answer: int | str
    context: str | None
    source: str
    language: str
    split: str
    difficulty: str | None
    provenance: dict[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        for name in ("id", "question", "source", "language", "split"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ItemError(name, f"expected a non-empty string, found {value!r}")
        if not isinstance(self.options, tuple) or not all(isinstance(o, str) and o.strip() for o in self.options):
            raise ItemError("options", "expected non-empty strings")
        if len(self.options) > len(LETTERS):
            raise ItemError("options", f"at most {len(LETTERS)} options have a letter, found {len(self.options)}")
        if len(set(self.options)) < len(self.options):
            raise ItemError("options", "an option occurs twice")
        if not self.options:
            if not isinstance(self.answer, str) or not self.answer.strip():
                raise ItemError("answer", f"an open-ended item needs a text, found {self.answer!r}")
        elif type(self.answer) is not int or not 0 <= self.answer < len(self.options):
            raise ItemError("answer", f"expected an index in 0..{len(self.options) - 1}, found {self.answer!r}")
        if self.context is not None and not isinstance(self.context, str):
            raise ItemError("context", f"expected a string or null, found {self.context!r}")
        if self.difficulty is not None and self.difficulty not in DIFFICULTIES:
            raise ItemError("difficulty", f"expected {', '.join(DIFFICULTIES)} or null, found {self.difficulty!r}")
        if not isinstance(self.provenance, dict):
            raise ItemError("provenance", f"expected an object, found {self.provenance!r}")

    @property
    def letter(self) -> str:
        """Letter of the right option. ValueError for an open-ended item, which has none."""
        if isinstance(self.answer, str):
            raise ValueError(f"item {self.id} is open-ended: its answer is a text and has no letter")
        return LETTERS[self.answer]


def item_id(
    question: str, options: Iterable[str], answer: int | str, context: str | None = None, source: str = ""
) -> str:
    """Stable content hash (16 hexadecimal digits): what is asked, not where it is used."""
    content = json.dumps([source, context, question, list(options), answer], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


_FIELDS = tuple(f.name for f in fields(QAItem))


def read_items(path: Path | str) -> list[QAItem]:
    """Items of a JSONL file in file order.

    Raises UserError naming file, line and field for a bad row, and for an id that occurs twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); build it with data_prep/build_rods.py.") from error
    items: list[QAItem] = []
    line_of: dict[str, int] = {}
    # Not splitlines(): JSON strings may hold U+2028 and its like, which that would cut at.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        item = parse_item(line, path, number)
        if item.id in line_of:
            raise UserError(f"{path}, line {number}, field id: {item.id} already stands on line {line_of[item.id]}.")
        line_of[item.id] = number
        items.append(item)
    return items


def parse_item(line: str | bytes, path: Path, number: int) -> QAItem:
    """The item on a line; UserError naming file, line and field where it is none."""
    try:
        return _item(json.loads(line))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}, column {error.colno}: not JSON ({error.msg}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: cannot be read ({error}).") from error
    except ItemError as error:
        raise UserError(f"{path}, line {number}, {error}.") from error


def _item(row: object) -> QAItem:
    if not isinstance(row, dict):
        raise ItemError("(row)", f"expected a JSON object, found {type(row).__name__}")
    for name in _FIELDS:
        if name not in row:
            raise ItemError(name, "missing")
    for name in row:
        if name not in _FIELDS:
            raise ItemError(name, f"unknown; an item has {', '.join(_FIELDS)}")
    if not isinstance(row["options"], list):
        raise ItemError("options", f"expected a list, found {row['options']!r}")
    return QAItem(**(row | {"options": tuple(row["options"])}))


def write_items(path: Path | str, items: Iterable[QAItem]) -> None:
    """Write JSONL, whole or not at all."""
    write_jsonl(Path(path), (asdict(item) for item in items))
