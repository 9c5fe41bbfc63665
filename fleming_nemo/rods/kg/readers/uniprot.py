"""UniProt of the GNU Health genetics wheel: clinical descriptions of diseases, variants, and which cause which.

A gene causes a disease here when one of its pathogenic variants is recorded for it. What UniProt says of a variant
(pathogenic, benign, uncertain) is kept as evidence of its edges.
"""

from collections import defaultdict
from pathlib import Path

from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, Text, edge, node

SOURCE = "uniprot"
_FOLDER = "trytond/modules/health_genetics_uniprot/data/"
DISEASES, VARIANTS, LINKS = (
    _FOLDER + f"{name}.xml" for name in ("protein_diseases", "gene_variants", "variant_phenotypes")
)
SIGNIFICANCE = {"lbb": "likely benign or benign", "lpp": "likely pathogenic or pathogenic", "us": "uncertain"}
_SHOWN = 5  # variants named as evidence that a gene causes a disease


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="gnuhealth-genetics-uniprot 5.0.4")
    reject = extract.rejects.add
    diseases: dict[str, str] = {}
    for key, row in archive.xml(DISEASES, extract.rejects, ("name", "disease_name")):
        diseases[key] = identifier = f"UNIPROT.DISEASE:{row['name']}"
        mim = row.get("mim_reference", "").removeprefix("MIM:")
        identifiers = (f"OMIM:{mim}",) if mim.isdigit() else ()
        synonyms = (row["acronym"],) if row.get("acronym") else ()
        extract.nodes.append(node(identifier, "disease", row["disease_name"], synonyms, identifiers))
        if row.get("description"):
            extract.texts.append(Text(identifier, "description", SOURCE, row["description"]))
    variants: dict[str, tuple[str, str]] = {}
    genes: dict[str, set[str]] = defaultdict(set)
    for key, row in archive.xml(VARIANTS, extract.rejects, ("gene", "variant", "aa_change", "significance")):
        if row["significance"] not in SIGNIFICANCE:
            reject(VARIANTS, key, "significance", f"expected one of {', '.join(SIGNIFICANCE)}", row)
            continue
        gene, variant = f"SYMBOL:{row['gene']}", f"UNIPROT.VAR:{row['variant']}"
        genes[gene].add(f"UNIPROT:{row.get('protein', '')}")
        variants[key] = (gene, row["significance"])
        dbsnp = (f"dbSNP:{row['dbsnp']}",) if row.get("dbsnp", "-") != "-" else ()
        extract.nodes.append(node(variant, "variant", f"{row['gene']} {row['aa_change']}", (), dbsnp))
        evidence = (f"significance: {SIGNIFICANCE[row['significance']]}",)
        extract.edges.append(edge(gene, "has_variant", variant, SOURCE, evidence))
    extract.nodes.extend(
        node(gene, "gene", gene.removeprefix("SYMBOL:"), (), tuple(sorted(ids - {"UNIPROT:"})))
        for gene, ids in sorted(genes.items())
    )
    causes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, row in archive.xml(LINKS, extract.rejects, ("variant", "phenotype")):
        if row["variant"] not in variants or row["phenotype"] not in diseases:
            field = "phenotype" if row["variant"] in variants else "variant"
            reject(LINKS, key, field, "no such record", row)
            continue
        gene, significance = variants[row["variant"]]
        disease = diseases[row["phenotype"]]
        evidence = (f"significance: {SIGNIFICANCE[significance]}",)
        extract.edges.append(edge(disease, "has_variant", f"UNIPROT.VAR:{row['variant']}", SOURCE, evidence))
        if significance == "lpp":
            causes[disease, gene].append(f"UNIPROT.VAR:{row['variant']}")
    for (disease, gene), names in causes.items():
        extract.edges.append(edge(disease, "caused_by", gene, SOURCE, tuple(sorted(set(names))[:_SHOWN])))
    return extract
