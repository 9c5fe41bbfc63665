"""Rows of a source become items; what cannot become one is set aside with file, row and field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import ItemError, QAItem, item_id
from fleming_nemo.rods.curated.heldout import pubmedqa_test_ids
from fleming_nemo.rods.curated.mapping import Mapping
from fleming_nemo.rods.curated.options import read_answer, read_options
from fleming_nemo.rods.curated.rejects import Refused, Reject, reject
from fleming_nemo.rods.curated.tables import Row
from fleming_nemo.rods.curated.values import is_empty, plain, text_of, value_at


@dataclass(frozen=True)
class Origin:
    """Where rows come from: `file` as rejects name it, `revision` a commit or the file's sha256."""

    file: str
    revision: str
    split: str
    training: bool = True


@dataclass
class Read:
    """What became of the rows of one file; `bases` counts the raw values of a numbered answer column."""

    rows: int = 0
    items: list[QAItem] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    bases: Counter[str] = field(default_factory=Counter)


def read_source(rows: Iterable[Row], mapping: Mapping, origin: Origin) -> Read:
    """Items and rejects, in the order of the rows.

    Raises UserError when the numbers of the answer column show that the mapping counts from the wrong end: rows that
    are not rejected would then all have the wrong label.
    """
    read = Read()
    for number, row, raw in rows:
        read.rows += 1
        try:
            if isinstance(row, Refused):
                raise row
            read.items.append(to_item(row, mapping, origin, number, read.bases))
        except Refused as refused:
            read.rejects.append(reject(origin.file, number, refused, raw))
    _check_base(read.bases, mapping, origin)
    return read


def to_item(
    row: dict[str, Any], mapping: Mapping, origin: Origin, number: int, bases: Counter[str] | None = None
) -> QAItem:
    """One item. Refused, with the column, for anything that the mapping does not allow."""
    for name in mapping.absent:
        if not is_empty(row.get(name)):
            raise Refused(name, "not in words: the question needs what this column holds")
    identity = "/".join(text_of(value_at(row, name), name) for name in mapping.row_id)
    if mapping.held_out == "pubmedqa" and origin.training and identity in pubmedqa_test_ids():
        raise Refused(mapping.row_id[0], "held out: a test question of PubMedQA never enters training")
    question = text_of(value_at(row, mapping.question), mapping.question)
    if mapping.cut_question_at:
        question = text_of(question.split(mapping.cut_question_at)[0], mapping.question)
    keys, texts = read_options(row, mapping.options)
    if bases is not None and mapping.answer.kind in ("index0", "index1"):
        _note_base(bases, row, mapping, len(texts))
    answer = read_answer(row, mapping.answer, keys, texts)
    for other in mapping.agrees:
        if read_answer(row, other, keys, texts) != answer:
            raise Refused(other.column, f"answers disagree: {mapping.answer.column} names another option")
    context = _context(row, mapping)
    source = mapping.source or mapping.name
    try:
        return QAItem(
            id=item_id(question, texts, answer, context, source),
            question=question,
            options=tuple(texts),
            answer=answer,
            context=context,
            source=source,
            language=mapping.language,
            split=origin.split,
            difficulty=None,
            provenance={
                "dataset": mapping.title,
                "mapping": mapping.name,
                "revision": origin.revision,
                "file": origin.file,
                "row": number,
                "row_id": identity or None,
                "licence": mapping.licence,
                **{name: plain(value_at(row, column)) for name, column in mapping.keep.items()},
            },
        )
    except ItemError as error:
        raise Refused(
            error.field, str(error).partition(": ")[2].replace("an option occurs", "duplicate options: one occurs")
        ) from error


def _context(row: dict[str, Any], mapping: Mapping) -> str | None:
    if not mapping.context:
        return None
    value = value_at(row, mapping.context)
    if is_empty(value) or value == []:
        return None
    sections = value if isinstance(value, list) else [value]
    labels = value_at(row, mapping.context_labels) if mapping.context_labels else []
    if labels and (not isinstance(labels, list) or len(labels) != len(sections)):
        raise Refused(mapping.context_labels, "labels do not match the sections")
    texts = [text_of(s, mapping.context) for s in sections]
    if not labels:
        return "\n".join(texts)
    return "\n".join(f"{text_of(label, mapping.context_labels)}: {t}" for label, t in zip(labels, texts, strict=True))


def _note_base(bases: Counter[str], row: dict[str, Any], mapping: Mapping, count: int) -> None:
    value = row.get(mapping.answer.column)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value).strip().removesuffix(".0")
        bases["zero"] += text == "0"
        bases["last"] += text == str(count)


def _check_base(bases: Counter[str], mapping: Mapping, origin: Origin) -> None:
    from_one = bases["last"] > 0 and bases["zero"] == 0
    from_zero = bases["zero"] > 0 and bases["last"] == 0
    if (mapping.answer.kind == "index0" and from_one) or (mapping.answer.kind == "index1" and from_zero):
        says, shows = ("0", "1") if from_one else ("1", "0")
        raise UserError(
            f"{origin.file}: mapping {mapping.name} says that {mapping.answer.column} counts from {says}, but its "
            f"values count from {shows}; use the mapping of this file's publisher (medmcqa is the hub's, medmcqa_json "
            f"the authors')."
        )
