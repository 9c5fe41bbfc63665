"""What a data card says, as JSON: what went in, what every step set aside, what is there and under which licences.

The same input gives the same card to the byte: no times, no paths of this machine, no number of workers.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.stages import code_version

SAMPLE = 20
_RESTRICTED = re.compile(r"non-?commercial|no-?deriv|\bNC\b|\bND\b", re.IGNORECASE)
_UNCLEAR = re.compile(r"not (?:verified|stated)|check the card", re.IGNORECASE)
USE = "For research on language models. Not medical advice; not checked by clinicians."


def data_card(
    purpose: str,
    seed: int,
    items: Sequence[QAItem],
    funnel: Sequence[dict[str, Any]],
    inputs: Sequence[dict[str, Any]],
    checks: dict[str, Any],
    samples: Sequence[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The card of a corpus.

    Args:
        items: what the counts are taken over; provenance needs `licence`, and `family` where items have one.
        checks: sections label_check, difficulty, coverage, benchmarks (hits by benchmark; empty: none was given), and
            duplicates, mix or sources where there are any.
        samples: the items of `sample_ids` in full, where `items` hold less than that.
    """
    licences = Counter((i.source, str(i.provenance.get("licence") or "not stated")) for i in items)
    by = {
        axis: dict(sorted(Counter(str(getattr(i, axis) or "none") for i in items).items()))
        for axis in ("source", "language", "difficulty", "split")
    }
    families = Counter(str(i.provenance["family"]) for i in items if "family" in i.provenance)
    if families:
        by["family"] = dict(sorted(families.items()))
    if samples is None:
        chosen = {identity: place for place, identity in enumerate(sample_ids([i.id for i in items], seed))}
        samples = [asdict(i) for i in sorted((i for i in items if i.id in chosen), key=lambda i: chosen[i.id])]
    return {
        "purpose": purpose,
        "use": USE,
        "versions": versions(),
        "items": len(items),
        "by": by,
        "options": {str(k): n for k, n in sorted(Counter(len(i.options) for i in items).items())},
        "answers": dict(sorted(Counter(i.letter for i in items if i.options).items())),
        "inputs": list(inputs),
        "funnel": list(funnel),
        **checks,
        "licences": [
            {"source": source, "licence": licence, "items": n, "note": _note(licence)}
            for (source, licence), n in sorted(licences.items())
        ],
        "sample": list(samples),
    }


def sample_ids(ids: Sequence[str], seed: int) -> list[str]:
    """Twenty identifiers that depend on seed and identifiers alone."""
    return sorted(ids, key=lambda i: hashlib.sha256(f"card/{seed}/{i}".encode()).digest())[:SAMPLE]


def versions() -> dict[str, str]:
    """What made the corpus. `code` is the hash of this package's files, which says more than a release number."""
    try:
        release = metadata.version("fleming-nemo")
    except metadata.PackageNotFoundError:  # run from a source tree
        release = "source tree"
    return {
        "fleming-nemo": release,
        "code": code_version()[:16],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def _note(licence: str) -> str:
    if _RESTRICTED.search(licence):
        return "restricted: NonCommercial or NoDerivatives terms hold for the whole corpus"
    return "unclear: read the terms of your copy before sharing" if _UNCLEAR.search(licence) else ""
