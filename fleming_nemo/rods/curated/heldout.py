"""Identifiers that must never enter training: the 500 test questions of PubMedQA.

PubMedQA publishes its 1,000 expert-labelled questions as one split called "train"; which 500 of them are the test set
is told by a list of PubMed identifiers only (github.com/pubmedqa/pubmedqa, data/test_ground_truth.json, MIT).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

PUBMEDQA_TEST_ITEMS = 500


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
