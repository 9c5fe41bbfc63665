"""What the model is asked, and what of its answer is believed.

An answer is JSON of the form of SCHEMA. A relation counts when both names and the quoted sentence stand in the
passage, the sentence holds both names, and relation and types are in the closed lists and fit each other.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from fleming_nemo.endpoint import Reply
from fleming_nemo.rods.kg.schema import NODE_TYPES

# relation -> types of subject and object
SIGNATURES = {
    "has_phenotype": (("disease",), ("phenotype",)),
    "caused_by": (("disease",), ("gene",)),
    "inherited_as": (("disease",), ("inheritance",)),
    "subtype_of": (("disease",), ("disease",)),
    "has_mechanism": (("drug",), ("mechanism",)),
    "in_class": (("drug",), ("drug_class",)),
    "targets": (("drug",), ("gene",)),
    "interacts_with": (("drug",), ("drug",)),
    "indicated_for": (("drug", "procedure"), ("disease", "phenotype")),
    "contraindicated_in": (("drug", "procedure"), ("disease", "phenotype", "other")),
    "side_effect": (("drug",), ("phenotype", "disease")),
    "diagnosed_by": (("disease",), ("procedure",)),
}
FIELDS = ("subject", "subject_type", "relation", "object", "object_type", "sentence")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["relations"],
    "properties": {
        "relations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [*FIELDS],
                "properties": {
                    **{name: {"type": "string"} for name in FIELDS},
                    "relation": {"enum": [*SIGNATURES]},
                    "subject_type": {"enum": [*NODE_TYPES]},
                    "object_type": {"enum": [*NODE_TYPES]},
                    "negated": {"type": "boolean"},
                },
            },
        }
    },
}
_FENCED = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.S)
_SYSTEM = (
    "You extract medical relations from a passage. Answer with one JSON object and nothing else. Use only what the "
    "passage states; copy names and the sentence letter by letter from the passage; set negated to true when the "
    "passage denies the relation. Relations and their types: "
    + "; ".join(f"{name}: {'/'.join(a)} -> {'/'.join(b)}" for name, (a, b) in SIGNATURES.items())
    + ". JSON schema: "
    + json.dumps(SCHEMA)
)


@dataclass(frozen=True, slots=True)
class Found:
    subject: str
    subject_type: str
    relation: str
    object: str
    object_type: str
    sentence: str
    negated: bool


def question(title: str, passage: str, known: list[str]) -> list[dict[str, str]]:
    """Chat messages; `known` are names of the graph that occur in the passage."""
    hint = f"Known entities in it: {'; '.join(known)}\n" if known else ""
    return [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": f"Page: {title}\n{hint}Passage:\n{passage}"},
    ]


def believed(answer: Reply, passage: str) -> tuple[list[Found], list[tuple[str, str, str]]]:
    """(relations, rejected ones as (field, reason, raw))."""
    content = answer.text
    if content is None:
        return [], [("answer", "refused", answer.finish)]
    if answer.finish == "length":
        return [], [("answer", "cut off at the length limit", content)]
    fenced = _FENCED.search(content)
    try:
        parsed = json.loads(fenced[1] if fenced else content)
    except (ValueError, RecursionError):
        return [], [("answer", "not JSON", content)]
    rows = parsed.get("relations") if isinstance(parsed, dict) else None
    if not isinstance(rows, list):
        return [], [("relations", "expected an object with a list 'relations'", content)]
    found, rejected = [], []
    for row in rows:
        if wrong := _wrong(row, passage):
            rejected.append((*wrong, json.dumps(row, ensure_ascii=False)))
        else:
            found.append(Found(**{name: row[name] for name in FIELDS}, negated=row.get("negated", False)))
    return found, rejected


def _wrong(row: Any, passage: str) -> tuple[str, str] | None:
    """(field, reason) of the first thing that is wrong."""
    if not isinstance(row, dict):
        return "relations", "expected an object"
    for name in FIELDS:
        if not isinstance(row.get(name), str) or not row[name].strip():
            return name, "missing or not a text"
    if not isinstance(row.get("negated", False), bool):
        return "negated", "expected true or false"
    if row["relation"] not in SIGNATURES:
        return "relation", "not in the closed list"
    for name, allowed in zip(("subject", "object"), SIGNATURES[row["relation"]], strict=True):
        if row[f"{name}_type"] not in allowed:
            return f"{name}_type", f"{row['relation']} needs {' or '.join(allowed)}"
        if row[name] not in passage:
            return name, "does not occur in the passage"
        if row[name] not in row["sentence"]:
            return name, "does not occur in the quoted sentence"
    if row["sentence"] not in passage:
        return "sentence", "does not occur in the passage"
    return ("object", "the same as the subject") if row["subject"] == row["object"] else None
