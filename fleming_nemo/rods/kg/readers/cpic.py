"""CPIC of the pypgx wheel: gene-drug pairs with level and guideline, and dosing recommendations as text."""

from pathlib import Path

from fleming_nemo.rods.kg.names import slug
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, Text, edge, node

SOURCE = "cpic"
PAIRS = "pypgx/api/data/cpic-table.csv"
ADVICE = "pypgx/api/data/recommendation-table.csv"
_PAIR_COLUMNS = ("Gene", "Drug", "RxNorm", "ATC", "Guideline", "CPICLevel", "CPICLevelStatus", "FDALabel", "PMID")
_ADVICE_COLUMNS = ("Drug", "Gene1", "Phenotype1", "Gene2", "Phenotype2", "Recommendation")


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="pypgx 0.27.0")
    drugs: dict[str, set[str]] = {}
    genes: set[str] = set()
    for number, row in archive.rows(PAIRS, extract.rejects, _PAIR_COLUMNS):
        empty = next((key for key in ("Gene", "Drug", "CPICLevel") if not row[key]), None)
        if empty:
            extract.rejects.add(PAIRS, number, empty, "empty", ",".join(row.values()))
            continue
        ids = drugs.setdefault(row["Drug"], set())
        if row["RxNorm"]:
            ids.add(f"RXNORM:{row['RxNorm']}")
        ids.update(f"ATC:{code.strip()}" for code in row["ATC"].split(",") if code.strip())
        genes.add(row["Gene"])
        evidence = [f"level: {row['CPICLevel']} ({row['CPICLevelStatus']})", row["Guideline"]]
        evidence += [f"FDA label: {row['FDALabel']}"] if row["FDALabel"] else []
        evidence += [f"PMID:{pmid}" for pmid in row["PMID"].split(";") if pmid]
        said = tuple(sorted(text for text in evidence if text))
        extract.edges.append(
            edge(f"SYMBOL:{row['Gene']}", "has_gene_drug_guideline", _drug(row["Drug"]), SOURCE, said))  # fmt: skip
    extract.nodes.extend(node(f"SYMBOL:{gene}", "gene", gene) for gene in sorted(genes))
    extract.nodes.extend(node(_drug(name), "drug", name, (), tuple(sorted(ids))) for name, ids in sorted(drugs.items()))
    for number, row in archive.rows(ADVICE, extract.rejects, _ADVICE_COLUMNS):
        if row["Recommendation"] in ("", "None"):
            continue  # the table lists every combination, also those without advice
        if row["Drug"] not in drugs:
            extract.rejects.add(ADVICE, number, "Drug", "not in cpic-table.csv", ",".join(row.values()))
            continue
        pairs = ((row["Gene1"], row["Phenotype1"]), (row["Gene2"], row["Phenotype2"]))
        state = "; ".join(f"{gene} {phenotype}" for gene, phenotype in pairs if gene != "None")
        text = f"{state}: {row['Recommendation']}"
        extract.texts.append(Text(_drug(row["Drug"]), "recommendation", SOURCE, text))
    return extract


def _drug(name: str) -> str:
    return f"CPIC:{slug(name)}"
