"""How much of the graph a corpus asks about, and how much of it is what curated data hardly mention."""

from collections.abc import Mapping
from typing import Any

from fleming_nemo.rods.kg.table import KnowledgeGraph

RARE = 5
"""Fewer curated mentions than this make an entity under-covered."""
_TYPES = ("disease", "gene", "drug", "mechanism", "variant", "inheritance")


def coverage(kg: KnowledgeGraph, asked: Mapping[str, int], mentions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """By type: nodes, nodes on the path of some question, and the same for those with fewer than five mentions."""
    table = {}
    for kind in _TYPES:
        ids = [kg.ids[node] for node in kg.of_type(kind).tolist()]
        rare = [i for i in ids if mentions.get(i, 0) < RARE]
        covered = sum(i in asked for i in ids)
        rare_covered = sum(i in asked for i in rare)
        times = [asked[i] for i in rare if i in asked]
        table[kind] = {
            "nodes": len(ids),
            "covered": covered,
            "under_covered_before": len(rare),
            "of_these_covered_now": rare_covered,
            "share": round(rare_covered / len(rare), 4) if rare else None,
            "questions_about_them": sum(times),
        }
    return table
