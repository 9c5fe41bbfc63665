"""PrimeKG-style files: one row per edge with id, type, name and source of both ends.

Each fact stands twice there, once in each direction; the direction of this graph is kept. Ids of grouped diseases
("8099_12919_...") become one node with all the MONDO ids.
"""

from pathlib import Path

from fleming_nemo.rods.kg import columns
from fleming_nemo.rods.kg.names import slug
from fleming_nemo.rods.kg.records import Extract, edge, node
from fleming_nemo.rods.kg.schema import SYMMETRIC
from fleming_nemo.rods.kg.table import Edge

PRIMEKG = (
    "x_index", "x_id", "x_type", "x_name", "x_source", "relation", "display_relation",
    "y_index", "y_id", "y_type", "y_name", "y_source",
)  # fmt: skip
SOURCE = "primekg"
TYPES = {
    "disease": "disease", "drug": "drug", "gene/protein": "gene", "effect/phenotype": "phenotype",
    "anatomy": "anatomy", "biological_process": "other", "molecular_function": "other", "cellular_component": "other",
    "pathway": "other", "exposure": "other",
}  # fmt: skip
# (relation, type of x, type of y) -> relation of the graph; a row in the other direction is the same fact
MEANING = {
    ("disease_phenotype_positive", "disease", "phenotype"): ("has_phenotype", False),
    ("disease_phenotype_negative", "disease", "phenotype"): ("has_phenotype", True),
    ("disease_protein", "disease", "gene"): ("associated_with", False),
    ("disease_disease", "disease", "disease"): ("associated_with", False),
    ("indication", "drug", "disease"): ("indicated_for", False),
    ("off-label use", "drug", "disease"): ("associated_with", False),
    ("contraindication", "drug", "disease"): ("contraindicated_in", False),
    ("drug_protein", "drug", "gene"): ("targets", False),
    ("drug_drug", "drug", "drug"): ("interacts_with", False),
    ("drug_effect", "drug", "phenotype"): ("side_effect", False),
    ("phenotype_phenotype", "phenotype", "phenotype"): ("associated_with", False),
    ("anatomy_anatomy", "anatomy", "anatomy"): ("associated_with", False),
    ("anatomy_protein_present", "gene", "anatomy"): ("expressed_in", False),
    ("anatomy_protein_absent", "gene", "anatomy"): ("expressed_in", True),
}
_NUMBERED = {"MONDO": ("MONDO", 7), "MONDO_grouped": ("MONDO", 7), "HPO": ("HP", 7), "UBERON": ("UBERON", 7)}
_PLAIN = {"NCBI": "NCBIGene", "DrugBank": "DRUGBANK", "GO": "GO", "REACTOME": "REACTOME", "CTD": "CTD"}


def read_primekg(path: Path, extract: Extract) -> None:
    """Add the file's nodes and edges; rows of unknown types, sources or relations are set aside."""
    seen: dict[str, tuple[str, str]] = {}
    facts: dict[Edge, None] = {}
    for number, row in columns.rows(path, extract.rejects):
        ends = []
        for side in ("x", "y"):
            field = next((f"{side}_{k}" for k in ("id", "type", "name", "source") if not row[f"{side}_{k}"]), "")
            kind = TYPES.get(row[f"{side}_type"], "")
            ids = curies(row[f"{side}_id"], row[f"{side}_source"])
            if field or not kind or not ids:
                field = field or f"{side}_{'type' if not kind else 'source'}"
                extract.rejects.add(path.name, number, field, "empty or unknown", row)
                break
            ends.append((ids, kind, row[f"{side}_name"]))
        if len(ends) < 2:
            continue
        (x_ids, x_kind, _), (y_ids, y_kind, _) = ends
        forward = MEANING.get((row["relation"], x_kind, y_kind))
        found = forward or MEANING.get((row["relation"], y_kind, x_kind))
        if found is None and "other" not in (x_kind, y_kind):
            extract.rejects.add(path.name, number, "relation", f"unknown between {x_kind} and {y_kind}", row)
            continue
        relation, negated = found or ("associated_with", False)
        clash = False
        for ids, kind, name in ends:
            if seen.get(ids[0], (kind, name)) != (kind, name):
                extract.rejects.add(path.name, number, "name", f"{ids[0]} has another type or name above", row)
                clash = True
        if clash:
            continue
        subject, target = (x_ids[0], y_ids[0]) if forward or found is None else (y_ids[0], x_ids[0])
        if relation in SYMMETRIC:
            subject, target = min(subject, target), max(subject, target)
        facts[edge(subject, relation, target, SOURCE, (row["display_relation"],), None, negated)] = None
        for ids, kind, name in ends:
            if ids[0] not in seen:
                seen[ids[0]] = (kind, name)
                extract.nodes.append(node(ids[0], kind, name, (), ids[1:]))
    extract.edges.extend(facts)


def curies(identifier: str, source: str) -> tuple[str, ...]:
    """('8099_12919', 'MONDO_grouped') -> MONDO:0008099, MONDO:0012919; () when the source is unknown."""
    if source in _NUMBERED:
        prefix, width = _NUMBERED[source]
        parts = identifier.split("_")
        return tuple(f"{prefix}:{part.zfill(width)}" for part in parts) if all(p.isdigit() for p in parts) else ()
    return (f"{_PLAIN[source]}:{slug(identifier) if ' ' in identifier else identifier}",) if source in _PLAIN else ()
