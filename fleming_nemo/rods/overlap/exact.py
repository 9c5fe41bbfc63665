"""Exact duplicates: the same question, context and set of options after folding, options in any order."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.overlap.entries import Entry, entry_of
from fleming_nemo.rods.overlap.folding import readable_key
from fleming_nemo.rods.overlap.shards import map_chunks


@dataclass(slots=True)
class Deduplication:
    """Items that stay, in their order; one row per removed item; clusters of two and more; counts."""

    kept: list[Any]
    removed: list[dict[str, Any]]
    """Rows {id, row, question, reason, similarity, kept_id, kept_row, answers_differ}."""
    clusters: list[list[str]]
    """Ids, the kept item first."""
    counts: dict[str, int] = field(default_factory=dict)


def exact_key(item: QAItem | Entry) -> str:
    """Equal for two items exactly if one repeats the other but for case, accents, spaces, punctuation, option order."""
    entry = entry_of(item)
    parts = [readable_key(entry.question), readable_key(entry.context), *sorted(map(readable_key, entry.options))]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def drop_exact_duplicates(items: Sequence[QAItem | Entry], workers: int = 1) -> Deduplication:
    """Keep the first item of every key. Put the source that you trust most first."""
    keys = [key for chunk in map_chunks(partial(_keys), items, workers, "exact duplicates") for key in chunk]
    first: dict[str, int] = {}
    leaders = [first.setdefault(key, row) for row, key in enumerate(keys)]
    return deduplication(items, {row: (lead, 1.0) for row, lead in enumerate(leaders) if row != lead}, "exact")


def _keys(_: int, items: Sequence[QAItem | Entry]) -> list[str]:
    return [exact_key(item) for item in items]


def deduplication(items: Sequence[QAItem | Entry], leader: dict[int, tuple[int, float]], reason: str) -> Deduplication:
    """The report for removed rows, each with the kept row that it repeats and how alike they are."""
    members: dict[int, list[int]] = {}
    removed = []
    for row, (lead, similarity) in sorted(leader.items()):
        members.setdefault(lead, [lead]).append(row)
        removed.append(
            {
                "id": items[row].id,
                "row": row,
                "question": items[row].question[:500],
                "reason": reason,
                "similarity": round(similarity, 4),
                "kept_id": items[lead].id,
                "kept_row": lead,
                "answers_differ": _answer(items[row]) != _answer(items[lead]),
            }
        )
    return Deduplication(
        kept=[item for row, item in enumerate(items) if row not in leader],
        removed=removed,
        clusters=[[items[row].id for row in rows] for _, rows in sorted(members.items())],
        counts={
            "items": len(items),
            "removed": len(removed),
            "clusters": len(members),
            "answers_differ": sum(bool(row["answers_differ"]) for row in removed),
        },
    )


def _answer(item: QAItem | Entry) -> str:
    """The right answer as text; an entry without one gives the empty string."""
    answer = getattr(item, "answer", "")
    return readable_key(item.options[answer] if isinstance(answer, int) else answer)
