"""Evidence sets: which findings are shown together, what they prove, and which split they belong to."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations

from fleming_nemo.rods.graph import Graph
from fleming_nemo.rods.proof import singles_out
from fleming_nemo.rods.universe import Universe

SPLITS = ("sft", "rl", "heldout")
SPLIT_SHARES = {"sft": 0.5, "rl": 0.25, "heldout": 0.25}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Findings (term ids, sorted) that single out one disease of the universe."""

    disease_id: str
    findings: tuple[str, ...]
    split: str


def proven_evidence(
    graph: Graph,
    universe: Universe,
    seed: int,
    findings_per_question: int = 3,
    shares: Mapping[str, float] = SPLIT_SHARES,
) -> tuple[list[Evidence], int]:
    """(evidence sets that pass the proof, number of sets tried), ordered by disease and findings.

    A set of findings belongs to one split for good, by a hash of the seed and the findings alone. All sets have the
    same size, so none is part of another one.
    """
    proven, tried = [], 0
    for disease in universe.diseases:
        for findings in combinations(disease.profile, findings_per_question):
            tried += 1
            if singles_out(graph, findings, disease.id):
                proven.append(Evidence(disease.id, findings, split_of(findings, seed, shares)))
    return proven, tried


def split_of(findings: tuple[str, ...], seed: int, shares: Mapping[str, float] = SPLIT_SHARES) -> str:
    """Split of a set of findings, whatever their order."""
    splits = list(shares)
    point = stable_hash("split", seed, *sorted(findings)) / 2**64 * sum(shares.values())
    return splits[min(bisect_right(list(accumulate(shares.values())), point), len(splits) - 1)]


def stable_hash(*parts: object) -> int:
    """64-bit hash that is the same in every process (the built-in one is not)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big")
