"""Identifiers that must never enter training: the 500 test questions of PubMedQA.

PubMedQA publishes its 1,000 expert-labelled questions as one split called "train"; which 500 of them are the test set
is told by a list of PubMed identifiers only (github.com/pubmedqa/pubmedqa, data/test_ground_truth.json, MIT).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

PUBMEDQA_TEST_ITEMS = 500
_PUBMEDQA = re.compile(r"pubmed[\W_]*qa", re.IGNORECASE)
_IDENTIFIERS = ("row_id", "row", "pubid", "pmid")


@cache
def pubmedqa_test_ids() -> frozenset[str]:
    """PubMed identifiers of the test questions. RuntimeError if the installation holds another number of them."""
    text = files("fleming_nemo.rods.curated").joinpath("pubmedqa_test_ids.txt").read_text(encoding="utf-8")
    found = frozenset(text.split())
    if len(found) != PUBMEDQA_TEST_ITEMS:
        raise RuntimeError(
            f"pubmedqa_test_ids.txt is damaged: {len(found)} identifiers, expected {PUBMEDQA_TEST_ITEMS}"
        )
    return found


def is_pubmedqa_test_item(row: dict[str, Any]) -> bool:
    """Whether a row in the form of an item says of itself that it is one of the test questions, by any of its fields.

    `row` may be anything that JSON holds. Items without a sign of where they are from are a matter of decontamination.
    """
    provenance = row.get("provenance")
    said = provenance if isinstance(provenance, dict) else {}
    if not _PUBMEDQA.search(" ".join(str(v) for v in (row.get("source"), *said.values()))):
        return False
    known = pubmedqa_test_ids()
    return any(str(said.get(name)).strip() in known for name in _IDENTIFIERS) or str(row.get("id")) in known
