"""How the columns of a source become a question: declared per source, never guessed from the values.

A 1-based answer read as 0-based is right by chance and shifts every label, so the kind of every answer column is
written down here or in the user's own mapping file (same form as `sources.yaml` beside this file).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from fleming_nemo.config.errors import UserError

OPTION_KINDS = ("dict", "columns", "list", "pairs", "packed", "fixed", "none")
ANSWER_KINDS = ("letter", "first_letter", "index0", "index1", "text", "key")
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
_PUBMEDQA = re.compile(r"pub[\W_]*med[\W_]*qa|\bpqa[\W_]|ori_pqa", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """Where the options stand.

    Attributes:
        kind: dict = one object {A: text}; columns = one column each; list = one list of texts; pairs = one list of
            objects with `key` and `value`; packed = one string "A ...\\nB ..."; fixed = always `values`; none = open.
        optional: of kind columns, those that may be empty (a fifth option); an empty option elsewhere is an error.
    """

    kind: str
    column: str = ""
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    key: str = "key"
    value: str = "value"
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Where the answer stands and what it is.

    Attributes:
        kind: letter = one capital; first_letter = the first character of a text; index0, index1 = a number counted
            from 0 or 1; text = the wording of one option; key = the key of one of the `pairs`.
        in_list: the column holds a list with exactly one answer.
    """

    kind: str
    column: str
    in_list: bool = False


@dataclass(frozen=True)
class Mapping:
    """One source. Column names may be paths into objects ("context.contexts").

    Attributes:
        title: the data set's name in cards and provenance.
        source: the item's `source`; the mapping's name where empty.
        agrees: further answer columns that must name the same option; a disagreement is a reject.
        cut_question_at: the question ends before this text (options repeated in the stem).
        context: column of a text, or of a list of texts joined by line breaks; `context_labels` are put before them.
        row_id: columns that together identify a row upstream; an identifier seen twice is a reject.
        keep: provenance name -> column, copied as it is.
        absent: columns that must be empty: a question with an image cannot be asked in words.
        held_out: "pubmedqa" = rows with a test identifier are never read. Required for every copy of PubMedQA.
        evaluation_splits: splits that may only become evaluation data; "*" = all.
        published: item fields that are published text, which anonymisation leaves alone.
        rows: "" = a list of rows; "keyed" = one object {id: row}, the id readable as column `_key`; else a path such as
            "exams.*.data" ("*" = every value, its key readable as `_key`).
        header: column names of a CSV or TSV without a header line.
    """

    name: str
    title: str
    language: str
    licence: str
    question: str
    options: Options
    answer: Answer
    source: str = ""
    agrees: tuple[Answer, ...] = ()
    cut_question_at: str = ""
    context: str = ""
    context_labels: str = ""
    row_id: tuple[str, ...] = ()
    keep: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    held_out: str = ""
    evaluation_splits: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    hub: str = ""
    hub_config: str = ""
    format: str = ""
    encoding: str = "utf-8"
    rows: str = ""
    header: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Top-level columns that a row must have."""
        named = [self.question, self.context, self.context_labels, self.answer.column, self.options.column]
        named += [
            *self.options.columns,
            *self.row_id,
            *self.absent,
            *self.keep.values(),
            *(a.column for a in self.agrees),
        ]
        return tuple(dict.fromkeys(n.split(".")[0] for n in named if n and n != "_key"))


def builtin_mappings() -> dict[str, Mapping]:
    """The sources that the project knows, by name."""
    text = files("fleming_nemo.rods.curated").joinpath("sources.yaml").read_text(encoding="utf-8")
    return _mappings(text, "sources.yaml")


def read_mappings(path: Path) -> dict[str, Mapping]:
    """The mappings of a user's YAML file: {name: mapping}. UserError names file, source and field."""
    try:
        return _mappings(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error


def _mappings(text: str, where: str) -> dict[str, Mapping]:
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML ({error}).") from error
    if not isinstance(tree, dict) or not tree:
        raise UserError(f"{where}: expected one mapping a source, {{name: {{title: ..., question: ...}}}}.")
    return {str(name): parse_mapping(str(name), value, where) for name, value in tree.items()}


def parse_mapping(name: str, value: Any, where: str) -> Mapping:
    """A Mapping from plain values. UserError for an unknown, missing or contradictory field."""
    at = f"{where}, source {name}"
    values = record(Mapping, value, at, given={"name": name})
    values["options"] = Options(**record(Options, values["options"], f"{at}, options"))
    values["answer"] = Answer(**record(Answer, values["answer"], f"{at}, answer"))
    values["agrees"] = tuple(Answer(**record(Answer, a, f"{at}, agrees")) for a in values.get("agrees", ()))
    mapping = Mapping(**values)
    _check(mapping, at)
    return mapping


def record(kind: type, value: Any, at: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Arguments for the dataclass `kind`; lists become tuples. UserError for unknown, missing or mistyped fields."""
    if not isinstance(value, dict):
        raise UserError(f"{at}: expected an object, found {value!r}.")
    known = {f.name: f for f in fields(kind)}
    for name in value:
        if name not in known or name in (given or {}):
            raise UserError(f"{at}: unknown field {name!r}; known are {', '.join(known)}.")
    values = {**value, **(given or {})}
    for name, f in known.items():
        declared = str(f.type)
        if name not in values:
            if f.default is f.default_factory:  # both MISSING: the field has no default
                raise UserError(f"{at}: field {name} is missing.")
            continue
        found = values[name]
        if declared.startswith("tuple") and isinstance(found, list):
            values[name] = tuple(found)
        elif declared == "str" and not isinstance(found, str):
            raise UserError(f"{at}, field {name}: expected a text, found {found!r} (put it in quotes).")
        elif declared == "bool" and not isinstance(found, bool):
            raise UserError(f"{at}, field {name}: expected true or false, found {found!r}.")
        elif declared.startswith("tuple"):
            raise UserError(f"{at}, field {name}: expected a list, found {found!r}.")
        elif declared.startswith("dict") and not isinstance(found, dict):
            raise UserError(f"{at}, field {name}: expected an object, found {found!r}.")
    return values


def _check(mapping: Mapping, at: str) -> None:
    if mapping.options.kind not in OPTION_KINDS:
        raise UserError(f"{at}, options.kind: {mapping.options.kind!r}; known are {', '.join(OPTION_KINDS)}.")
    for answer in (mapping.answer, *mapping.agrees):
        if answer.kind not in ANSWER_KINDS:
            raise UserError(f"{at}, answer.kind: {answer.kind!r}; known are {', '.join(ANSWER_KINDS)}.")
        if answer.kind == "key" and mapping.options.kind != "pairs":
            raise UserError(f"{at}, answer.kind: key needs options of kind pairs.")
    needed = {"columns": mapping.options.columns, "fixed": mapping.options.values, "none": "-"}
    if not needed.get(mapping.options.kind, mapping.options.column):
        raise UserError(f"{at}, options: kind {mapping.options.kind} names no column.")
    if mapping.options.kind == "none" and mapping.answer.kind != "text":
        raise UserError(f"{at}, answer.kind: an open-ended source has answers of kind text.")
    if mapping.format and mapping.format not in FORMATS:
        raise UserError(f"{at}, format: {mapping.format!r}; known are {', '.join(FORMATS)}.")
    if mapping.held_out not in ("", "pubmedqa"):
        raise UserError(f"{at}, held_out: {mapping.held_out!r}; the only list the project carries is pubmedqa.")
    if mapping.held_out and len(mapping.row_id) != 1:
        raise UserError(f"{at}, held_out: row_id must name the one column that the list of identifiers is about.")
    if not mapping.held_out and _PUBMEDQA.search(" ".join((mapping.name, mapping.title, mapping.source, mapping.hub))):
        raise UserError(f"{at}: a copy of PubMedQA contains its test set; set held_out: pubmedqa and row_id.")
