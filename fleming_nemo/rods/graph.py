"""The typed rare-disease graph: diseases, their findings, genes and inheritance.

Open world: an annotation says that a finding is known to occur, a missing one says nothing. A disease *has* a
finding when it is annotated with it or with one of its descendants (a patient with gastric ulcer has peptic ulcer).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.hpo import Annotation, Frequency, Release, Term, read_release

MENDELIAN = "HP:0034345"
INHERITANCE_ROOT = "HP:0000005"
INHERITANCE_QUALIFIER = "HP:0034335"


@dataclass(frozen=True, slots=True)
class Edge:
    """disease -has_phenotype- term. `frequency` pools all rows of the pair; None where no row states one."""

    term_id: str
    frequency: Frequency | None
    references: tuple[str, ...]
    evidence: tuple[str, ...]

    @property
    def share(self) -> float:
        """Lower bound of the share of patients with the finding; 0.0 where it is not stated."""
        return self.frequency.share if self.frequency else 0.0


@dataclass(frozen=True, slots=True)
class Disease:
    """One disease record of OMIM, Orphanet or DECIPHER; records are not merged across databases."""

    id: str
    name: str
    """The first name that the release gives the record; a few records have a second one."""
    findings: dict[str, Edge]
    """Positive findings by term id, sorted by id."""
    negatives: frozenset[str]
    """Terms recorded as looked for and absent: qualifier NOT, frequency 0/m, or class 'excluded'."""
    genes: frozenset[str]
    modes: frozenset[str]
    """Short inheritance names such as 'autosomal recessive' or 'X-linked'; qualifiers such as 'sporadic' are not kept
    unless they are modes of inheritance themselves."""


@dataclass(slots=True)
class Graph:
    """Queries over one release. Every returned collection is a set or is sorted by id: no order depends on hashing."""

    version: str
    terms: dict[str, Term]
    diseases: dict[str, Disease]
    diseases_of_gene: dict[str, frozenset[str]]
    mendelian_modes: frozenset[str]
    _ancestors: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    _diseases_with: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for disease in self.diseases.values():
            for term_id in frozenset[str]().union(*map(self.ancestors, disease.findings)):
                self._diseases_with.setdefault(term_id, set()).add(disease.id)

    def ancestors(self, term_id: str) -> frozenset[str]:
        """The term itself and everything it is_a."""
        known = self._ancestors.get(term_id)
        if known is None:
            known = frozenset({term_id}).union(*map(self.ancestors, self.terms[term_id].parents))
            self._ancestors[term_id] = known
        return known

    def related(self, one: str, other: str) -> bool:
        """Whether one term is the other or an ancestor of it."""
        return one in self.ancestors(other) or other in self.ancestors(one)

    def diseases_with(self, term_id: str) -> frozenset[str]:
        """Ids of the diseases annotated with the term or a descendant of it."""
        return frozenset(self._diseases_with.get(term_id, ()))

    def has(self, disease_id: str, term_id: str) -> bool:
        return disease_id in self._diseases_with.get(term_id, ())

    def matches(self, present: Iterable[str], absent: Iterable[str] = ()) -> frozenset[str]:
        """Ids of the diseases that have every present finding and none of the absent ones.

        `present` must not be empty. A disease without an annotation for an absent finding stays a match (open world).
        """
        groups = sorted((self._diseases_with.get(term_id, set()) for term_id in present), key=len)
        found = groups[0].intersection(*groups[1:])
        return frozenset(found.difference(*(self._diseases_with.get(term_id, ()) for term_id in absent)))

    def information_content(self, term_id: str) -> float:
        """-log2 of the share of diseases that have the finding, in bits; infinite where none has."""
        count = len(self._diseases_with.get(term_id, ()))
        return math.log2(len(self.diseases) / count) if count else math.inf

    def name(self, term_or_disease_id: str) -> str:
        if term_or_disease_id in self.terms:
            return self.terms[term_or_disease_id].name
        return self.diseases[term_or_disease_id].name


def load_graph(wheel: Path) -> Graph:
    """Read the release out of the pinned wheel and build the graph (a few seconds, about 500 MB at the peak)."""
    return build_graph(read_release(wheel))


def build_graph(release: Release) -> Graph:
    """Group annotation rows by disease; obsolete ids are replaced through `alt_id`."""
    live = {alt: term.id for term in release.terms.values() for alt in term.alt_ids}
    live |= {term_id: term_id for term_id in release.terms}
    short_modes = {t: _mode_name(release.terms[t].name) for t in release.terms if _is_mode(t, release.terms)}
    genes: dict[str, set[str]] = {}
    for disease_id, symbol in release.disease_genes:
        genes.setdefault(disease_id, set()).add(symbol)
    rows: dict[str, list[Annotation]] = {}
    for row in release.annotations:
        if row.term_id not in live:
            raise UserError(f"{row.disease_id}: term {row.term_id} is not in hp.obo; take both files from one release.")
        rows.setdefault(row.disease_id, []).append(row)
    diseases = {
        disease_id: _disease(disease_id, rows[disease_id], genes.get(disease_id, set()), live, short_modes)
        for disease_id in sorted(rows)
    }
    by_gene: dict[str, set[str]] = {}
    for disease in diseases.values():
        for symbol in disease.genes:
            by_gene.setdefault(symbol, set()).add(disease.id)
    return Graph(
        version=release.version,
        terms=release.terms,
        diseases=diseases,
        diseases_of_gene={symbol: frozenset(by_gene[symbol]) for symbol in sorted(by_gene)},
        mendelian_modes=frozenset(
            name for t, name in short_modes.items() if t != MENDELIAN and MENDELIAN in _lineage(t, release.terms)
        ),
    )


def _disease(
    disease_id: str, rows: list[Annotation], genes: set[str], live: dict[str, str], short_modes: dict[str, str]
) -> Disease:
    positive: dict[str, list[Annotation]] = {}
    negative: set[str] = set()
    modes: set[str] = set()
    for row in rows:
        term_id = live[row.term_id]
        if row.aspect == "I" and not row.negated and term_id in short_modes:
            modes.add(short_modes[term_id])
        elif row.aspect == "P":
            if row.negated or (row.frequency is not None and row.frequency.share == 0):
                negative.add(term_id)
            else:
                positive.setdefault(term_id, []).append(row)
    # One reference may have looked in vain for what another one found: the finding does occur, so it is positive.
    findings = {term_id: _edge(term_id, positive[term_id]) for term_id in sorted(positive)}
    return Disease(
        id=disease_id,
        name=rows[0].disease_name,
        findings=findings,
        negatives=frozenset(negative - positive.keys()),
        genes=frozenset(genes),
        modes=frozenset(modes),
    )


def _edge(term_id: str, rows: list[Annotation]) -> Edge:
    return Edge(
        term_id,
        _pooled([row.frequency for row in rows if row.frequency is not None]),
        tuple(sorted({row.reference for row in rows})),
        tuple(sorted({row.evidence for row in rows})),
    )


def _pooled(frequencies: list[Frequency]) -> Frequency | None:
    """Counts of several references add up; classes and percentages do not, so the lowest stands."""
    counts = [f for f in frequencies if f.patients is not None]
    if counts:
        whole = sum(f.patients or 0 for f in counts)
        part = sum(round(f.share * (f.patients or 0)) for f in counts)
        return Frequency(part / whole, f"{part}/{whole}", whole)
    return min(frequencies, key=lambda f: f.share) if frequencies else None


def _lineage(term_id: str, terms: dict[str, Term]) -> set[str]:
    return {term_id}.union(*(_lineage(parent, terms) for parent in terms[term_id].parents))


def _is_mode(term_id: str, terms: dict[str, Term]) -> bool:
    lineage = _lineage(term_id, terms)
    return INHERITANCE_ROOT in lineage and INHERITANCE_QUALIFIER not in lineage and term_id != INHERITANCE_ROOT


def _mode_name(name: str) -> str:
    short = name.removesuffix(" inheritance")
    return short if short[:2] in ("X-", "Y-") else short[:1].lower() + short[1:]
