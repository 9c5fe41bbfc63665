"""How much of the graph a corpus asks about, and how much of it is what curated data hardly mention."""

from collections.abc import Iterable, Mapping
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.sampler import UNDER_COVERED

_TYPES = ("disease", "gene", "drug", "mechanism", "variant", "inheritance")


def coverage(kg: KnowledgeGraph, asked: Mapping[str, int], mentions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """By type: nodes, nodes on the path of some question, and the same for those with fewer than five mentions.

    `asked` counts the questions by the id of the nodes on their paths.
    """
    table = {}
    for kind in _TYPES:
        ids = [kg.ids[node] for node in kg.of_type(kind).tolist()]
        rare = [i for i in ids if mentions.get(i, 0) < UNDER_COVERED]
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


def under_covered(
    items: Iterable[QAItem | Mapping[str, Any]],
    mentions: Mapping[str, int],
    kg: KnowledgeGraph,
    limit: int = UNDER_COVERED,
    askable: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Diseases with fewer than `limit` curated mentions: in the graph, askable, and on the path of an item.

    Items are QAItems or rows of their JSONL file, of this synthesis only. `askable` holds the ids of the nodes that
    some question could be asked about (shards/askable-00000.json of a build); None leaves that number out.
    """
    rare = {kg.ids[n] for n in kg.of_type("disease").tolist() if mentions.get(kg.ids[n], 0) < limit}
    number, about, covered = 0, 0, set[str]()
    for item in items:
        provenance = item.provenance if isinstance(item, QAItem) else item["provenance"]
        found = rare.intersection(provenance["path"])
        number, about = number + 1, about + bool(found)
        covered |= found
    return {"limit": limit, "items": number, "items_about_them": about} | _shares(len(rare), covered, rare, askable)


def under_covered_diseases(
    kg: KnowledgeGraph, asked: Mapping[str, int], mentions: Mapping[str, int], askable: Iterable[str]
) -> dict[str, Any]:
    """The same from the counts that merging keeps."""
    rare = {kg.ids[n] for n in kg.of_type("disease").tolist() if mentions.get(kg.ids[n], 0) < UNDER_COVERED}
    return {"limit": UNDER_COVERED} | _shares(len(rare), rare & asked.keys(), rare, askable)


def _shares(total: int, covered: set[str], rare: set[str], askable: Iterable[str] | None) -> dict[str, Any]:
    table: dict[str, Any] = {"in_graph": total}
    if askable is not None:
        table["askable"] = len(rare.intersection(askable))
        table["share_of_askable"] = round(len(covered) / table["askable"], 4) if table["askable"] else None
    return table | {"covered": len(covered), "share_of_graph": round(len(covered) / total, 4) if total else None}
