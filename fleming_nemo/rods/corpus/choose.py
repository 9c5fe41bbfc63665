"""Which items stay: none that a check took out, no remainder of a broken option list, and as many as were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import SPLITS

BROKEN = "its option list lost a question"
BEYOND = "more than asked for"


def choose(items: Sequence[QAItem], gone: Mapping[int, str], sizes: Mapping[str, int]) -> dict[int, str]:
    """Position -> reason for every item that does not stay, those of `gone` included.

    Questions that share an option list stay or leave together: if single ones left, the options of those that remain
    would tell which answers had been asked. The last list of a split is cut to its size.
    """
    out = dict(gone)
    taken = dict.fromkeys(SPLITS, 0)
    for (split, _), rows in groupby(range(len(items)), key=lambda n: (items[n].split, items[n].provenance["group"])):
        group = list(rows)
        if any(n in gone for n in group):
            for n in group:
                out.setdefault(n, BROKEN)
            continue
        for n in group:
            if taken[split] < sizes[split]:
                taken[split] += 1
            else:
                out[n] = BEYOND
    return out
