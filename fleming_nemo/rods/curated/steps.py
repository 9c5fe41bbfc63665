"""The steps of the pipeline, each a function that reads items, writes items and rejects, and returns its counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256, write_jsonl
from fleming_nemo.data.items import ItemError, QAItem
from fleming_nemo.rods.curated.anonymise import anonymise_item
from fleming_nemo.rods.curated.filters import Filter, apply, reject_item
from fleming_nemo.rods.curated.formats import check_format
from fleming_nemo.rods.curated.heldout import is_pubmedqa_test_item
from fleming_nemo.rods.curated.hub import hub_rows
from fleming_nemo.rods.curated.mapping import Answer, Mapping, Options
from fleming_nemo.rods.curated.plan import SourceEntry
from fleming_nemo.rods.curated.reader import Origin, Read, read_source
from fleming_nemo.rods.curated.rejects import Refused, Reject, kinds, reject, write_rejects
from fleming_nemo.rods.curated.tables import Row, read_rows

PART = 5_000
_OWN_FORM = Mapping("items", "items", "en", "-", "question", Options("list", "options"), Answer("index0", "answer"))


@dataclass(frozen=True)
class Stepped:
    """What a step over all items keeps, a reject for everything else, and sections that it gives to the card."""

    kept: Sequence[QAItem]
    rejects: Sequence[Reject]
    card: dict[str, Any] = field(default_factory=dict)


ItemStep = Callable[[Sequence[QAItem]], Stepped]
"""A step over all items at once, such as the removal of duplicates."""


def own_items(path: Path, training: bool) -> Read:
    """Items that are in this project's form already; bad rows and, for training, held-out ones become rejects."""
    read = Read()
    for number, row, raw in read_rows(path, _OWN_FORM):
        read.rows += 1
        try:
            if isinstance(row, Refused):
                raise row
            if training and is_pubmedqa_test_item(row):
                raise Refused("provenance", "held out: a test question of PubMedQA never enters training")
            item = to_own_item(row)
            item.provenance.setdefault("file", path.name)
            item.provenance.setdefault("row", number)
            read.items.append(item)
        except Refused as refused:
            read.rejects.append(reject(path.name, number, refused, raw))
    return read


def to_own_item(row: dict[str, Any]) -> QAItem:
    """A QAItem from its JSON form. Refused with the field that breaks the schema."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
        return QAItem(**{**row, "options": tuple(row["options"])})
    except ItemError as error:
        raise Refused(error.field, str(error).partition(": ")[2]) from error
    except UnicodeEncodeError as error:
        raise Refused("(row)", "not UTF-8: half a character") from error
    except (TypeError, KeyError, ValueError) as error:
        raise Refused("(row)", f"not an item: {error}") from error


def read_step(
    folder: Path, entry: SourceEntry | None, mapping: Mapping | None, path: str, training: bool
) -> dict[str, Any]:
    """One file, or one split of the hub, as parts of 5,000 items. UserError when not one row can be read."""
    if entry is None or mapping is None:
        read = own_items(Path(path), training)
    else:
        rows: Iterable[Row]
        if path:
            origin = Origin(Path(path).name, f"sha256:{sha256(Path(path))[:16]}", entry.split, training)
            rows = read_rows(Path(path), mapping)
        else:
            hub, config = entry.hub or mapping.hub, entry.hub_config or mapping.hub_config
            origin = Origin(f"{hub}/{config}/{entry.split}".replace("//", "/"), entry.revision, entry.split, training)
            rows = hub_rows(mapping, hub, config, entry.revision, entry.split)
        read = read_source(rows, mapping, origin)
    write_rejects(folder / "rejects.jsonl", read.rejects)
    if not read.items and read.rejects:
        worst = read.rejects[0]
        reasons = ", ".join(f"{kind} ({n})" for kind, n in list(kinds(read.rejects).items())[:3])
        raise UserError(
            f"{path or entry}: none of {read.rows} rows can be used: {reasons}; the first is row {worst.row}, field "
            f"{worst.field}. Check the mapping, or take the file out of the plan. All are in "
            f"{folder / 'rejects.jsonl'}."
        )
    parts = [read.items[start : start + PART] for start in range(0, len(read.items), PART)]
    for number, part in enumerate(parts):
        write_jsonl(folder / f"part-{number:05d}.jsonl", map(asdict, part))
    source = mapping.source or mapping.name if mapping else "(own items)"
    return {
        "source": source,
        "rows": read.rows,
        "kept": dict(sorted(Counter(i.source for i in read.items).items())),
        "reasons": kinds(read.rejects),
        "parts": [sha256(folder / f"part-{number:05d}.jsonl") for number in range(len(parts))],
    }


def clean_step(folder: Path, part: str, published: Sequence[str]) -> dict[str, Any]:
    """Format, then anonymisation, of one part."""
    items = load_items(Path(part))
    rules: tuple[tuple[str, Filter], ...] = (
        ("format", check_format),
        ("anonymise", partial(anonymise_item, published=tuple(published))),
    )
    steps, rejects = [], []
    for name, rule in rules:
        result = apply(rule, items)
        steps.append(tally(name, items, result.kept, result.refused, result.changes))
        rejects += result.rejects
        items = result.kept
    write_jsonl(folder / "items.jsonl", map(asdict, items))
    write_rejects(folder / "rejects.jsonl", rejects)
    return {"steps": steps, "sha256": sha256(folder / "items.jsonl")}


def unique(items: Sequence[QAItem]) -> tuple[list[QAItem], list[Reject], list[tuple[str, str]]]:
    """First of each content and of each upstream identifier; (kept, rejects, (source, kind) of each reject)."""
    contents: dict[str, QAItem] = {}
    upstream: dict[tuple[str, str, str], QAItem] = {}
    kept, rejects, refused = [], [], []
    for item in items:
        identity = item.provenance.get("row_id")
        key = (item.source, item.language, str(identity))  # translations share their identifiers
        twin = contents.get(item.id) or (upstream.get(key) if identity is not None else None)
        if twin is None:
            contents[item.id] = item
            if identity is not None:
                upstream[key] = item
            kept.append(item)
            continue
        where = f"{twin.provenance.get('file')}, row {twin.provenance.get('row')}"
        kind = "same question twice" if twin.id == item.id else "duplicate id with other content"
        detail = f": {identity} in {where}" if identity is not None else f": first in {where}"
        rejects.append(reject_item(item, Refused("id", kind + detail)))
        refused.append((item.source, kind))
    return kept, rejects, refused


def tally(
    step: str,
    before: Iterable[QAItem],
    after: Iterable[QAItem],
    refused: Iterable[tuple[str, str]],
    changes: Counter[str] | None = None,
) -> dict[str, Any]:
    """Counts of one step by source."""
    went_in, came_out = Counter(i.source for i in before), Counter(i.source for i in after)
    reasons: dict[str, dict[str, int]] = {}
    for (source, kind), n in sorted(Counter(refused).items()):
        reasons.setdefault(source, {})[kind] = n
    sources = {s: {"in": went_in[s], "kept": came_out[s], "reasons": reasons.get(s, {})} for s in sorted(went_in)}
    return {"step": step, "sources": sources, "changes": dict(sorted((changes or {}).items()))}


def load_items(path: Path) -> list[QAItem]:
    """Items that this pipeline wrote itself, duplicates included."""
    with open(path, encoding="utf-8") as lines:
        return [to_own_item(json.loads(line)) for line in lines]
