"""What a filter is: a function of one item that returns it, perhaps changed, or refuses it; and how one is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace

from fleming_nemo.data.items import ItemError, QAItem, item_id
from fleming_nemo.rods.curated.rejects import Refused, Reject, reject

Filter = Callable[[QAItem, Counter[str]], QAItem]
"""(item, counter of the changes made) -> the item; raises Refused."""


@dataclass
class Filtered:
    """Result of a filter: `changes` counts what was repaired or masked, `refused` is (source, kind) of each reject."""

    kept: list[QAItem] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)


def apply(rule: Filter, items: Iterable[QAItem]) -> Filtered:
    """Every item through `rule`, in order; nothing is dropped without a reject."""
    result = Filtered()
    for item in items:
        try:
            result.kept.append(rule(item, result.changes))
        except Refused as refused:
            result.rejects.append(reject_item(item, refused))
            result.refused.append((item.source, result.rejects[-1].kind))
    result.changes = +result.changes  # without the zeros
    return result


def reject_item(item: QAItem, refused: Refused) -> Reject:
    """The reject of an item names the file and row that it came from."""
    at = item.provenance
    row = at.get("row")
    return reject(str(at.get("file", "")), row if isinstance(row, int) else 0, refused, asdict(item))


def rewritten(
    item: QAItem, rewrite: Callable[[str], str], fields: Iterable[str] = ("question", "options", "context")
) -> QAItem:
    """The item with `rewrite` applied to its texts and the content hash that follows from them.

    Raises Refused when a text becomes empty or two options become equal.
    """
    texts: dict[str, object] = {}
    for name in fields:
        value = getattr(item, name)
        texts[name] = rewrite(value) if isinstance(value, str) else value and tuple(map(rewrite, value))
    if all(getattr(item, name) == value for name, value in texts.items()):
        return item
    try:
        changed = replace(item, **texts)  # type: ignore[arg-type]
    except ItemError as error:
        raise Refused(error.field, f"unusable after cleaning: {str(error).partition(': ')[2]}") from error
    identity = item_id(changed.question, changed.options, changed.answer, changed.context, changed.source)
    return replace(changed, id=identity)
