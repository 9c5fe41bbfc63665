"""Items that look mislabelled: mining would otherwise collect exactly these.

An item is quarantined while two witnesses agree that its label cannot be reached: the policy was never right in any
mining round so far, and a strong model failed all its trials in the label check (`review.jsonl` of
`data_prep/build_curated.py`).  An item that was not checked is not suspected.  One right rollout lets an item return.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.ledger import Ledger

REVIEW = "review.jsonl"
FAILED = "wrong in all"
"""How the label check begins the reason of an item that failed; one that could not be asked begins otherwise."""


def failed_label_check(file: Path) -> frozenset[str] | None:
    """Ids that failed all trials of the label check; None where there is no review file.

    Raises:
        UserError: naming file, line and field of a row that is none.
    """
    if not file.is_file():
        return None
    failed = set()
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file}, line {number}: not JSON ({error.msg}); write it again.") from error
        if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("reason"), str):
            raise UserError(
                f"{file}, line {number}: expected {{id, reason}} of data_prep/build_curated.py, found {row!r}."
            )
        if row["reason"].startswith(FAILED):
            failed.add(row["id"])
    return frozenset(failed)


def quarantined(ids: Iterable[str], ledger: Ledger, failed: frozenset[str]) -> list[str]:
    """Those of `ids` that the policy never got right and that failed the label check, in their order."""
    return [identity for identity in ids if identity in failed and ledger.never_right(identity)]


def report(cfg: RunConfig, items: Sequence[QAItem], failed: frozenset[str] | None) -> dict[str, Any]:
    """The quarantine's part of mining.json: who is in it, and why nobody is.

    Args:
        failed: ids of the pool that failed the label check, None where there is no review file.
    """
    review = Path(cfg.data.dir) / REVIEW
    note = f"no {review}: nothing is quarantined" if failed is None else f"label check as {review} has it"
    if not cfg.grpo.quarantine:
        note = "off (grpo.quarantine=false)"
    return {
        "note": note,
        "failed_label_check": None if failed is None else len(failed),
        "count": len(items),
        "items": [item.id for item in items],
    }
