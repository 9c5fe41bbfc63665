"""A small universe of diseases on which a small model can learn the facts within minutes.

Built from the pinned release alone, without a seed: diseases in groups that share a gene, each with a short visible
profile of frequent findings. A disease qualifies when it is an OMIM record with exactly one gene, exactly one Mendelian
mode, a short name, and at least `MIN_PROFILE` findings of frequency >= 30 % that are short, are not ancestors of each
other and share no content word with a disease name of its gene. Profiles are chosen so that many evidence sets single
the disease out of the *whole* graph, and so that the diseases of the universe share findings with one another
(a distractor is then a near miss, not a stranger).
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.graph import Disease, Graph
from fleming_nemo.rods.leaks import leaks

MIN_FREQUENCY = 0.30
MIN_PROFILE = 8
MAX_NAME_WORDS = 4
MAX_NAME_LENGTH = 36
MAX_FINDING_WORDS = 3
MAX_FINDING_LENGTH = 26
# Findings looked at per disease: bounds the number of evidence sets that have to be proven.
POOL_SIZE = 40
# Evidence sets per disease that let every split ask about it several times.
ENOUGH_PROVABLE = 28
_PLAIN_NAME = re.compile(r"[A-Z][a-z]+(?:[- ][A-Za-z]?[a-z]+)*(?: \d+)?")
_PLAIN_FINDING = re.compile(r"[A-Za-z][a-z]+(?:[- ][a-z]+)*")


@dataclass(frozen=True, slots=True)
class UniverseDisease:
    """`profile` holds term ids, sorted: the only findings of the disease that questions show."""

    id: str
    name: str
    gene: str
    mode: str
    profile: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Universe:
    """Diseases sorted by id; every gene has at least two of them."""

    graph_version: str
    diseases: tuple[UniverseDisease, ...]

    @property
    def by_id(self) -> dict[str, UniverseDisease]:
        return {disease.id: disease for disease in self.diseases}

    @property
    def by_gene(self) -> dict[str, tuple[UniverseDisease, ...]]:
        groups: dict[str, list[UniverseDisease]] = {}
        for disease in self.diseases:
            groups.setdefault(disease.gene, []).append(disease)
        return {gene: tuple(groups[gene]) for gene in sorted(groups)}

    @property
    def findings(self) -> tuple[str, ...]:
        """Distinct term ids of all profiles, sorted."""
        return tuple(sorted({term_id for disease in self.diseases for term_id in disease.profile}))


def build_universe(
    graph: Graph, num_diseases: int = 48, profile_size: int = 9, findings_per_question: int = 3
) -> Universe:
    """The `num_diseases` best diseases of the release (see the module docstring).

    Raises UserError when the release does not hold that many, or the sizes make no sense.
    """
    if profile_size < MIN_PROFILE:
        raise UserError(f"a profile of {profile_size} findings is too small; ask for {MIN_PROFILE} or more.")
    if not 2 <= findings_per_question <= 4:
        raise UserError(f"{findings_per_question} findings per question cannot be proven well; ask for 2 to 4.")
    if num_diseases < 2:
        raise UserError(f"a universe of {num_diseases} diseases has no two of one gene; ask for 2 or more.")
    groups = _candidate_groups(graph)
    everyone = sorted(disease_id for group in groups.values() for disease_id in group)
    pools = {i: _pool(graph, i, groups[_gene(graph.diseases[i])], everyone) for i in everyone}
    provable = {i: _provable_sets(graph, i, pools[i], findings_per_question) for i in everyone}
    chosen = _choose(graph, groups, pools, provable, num_diseases, profile_size)
    if not chosen:
        raise UserError(f"The release does not hold {num_diseases} diseases fit for the universe; ask for fewer.")
    profiles = {i: _profile(graph, i, pools[i], provable[i], chosen, profile_size) for i in chosen}
    diseases = tuple(
        UniverseDisease(
            id=i,
            name=graph.diseases[i].name,
            gene=_gene(graph.diseases[i]),
            mode=next(iter(graph.diseases[i].modes)),
            profile=profiles[i],
        )
        for i in chosen
    )
    return Universe(graph.version, diseases)


def _gene(disease: Disease) -> str:
    (symbol,) = disease.genes
    return symbol


def _candidate_groups(graph: Graph) -> dict[str, list[str]]:
    """Gene -> ids of its two or more candidates, all sorted."""
    groups: dict[str, list[str]] = {}
    for disease in graph.diseases.values():
        if (
            disease.id.startswith("OMIM:")
            and len(disease.genes) == 1
            and len(disease.modes) == 1
            and disease.modes <= graph.mendelian_modes
            and _PLAIN_NAME.fullmatch(disease.name)
            and len(disease.name.split()) <= MAX_NAME_WORDS
            and len(disease.name) <= MAX_NAME_LENGTH
            and len(_short_frequent_findings(graph, disease)) >= MIN_PROFILE
        ):
            groups.setdefault(_gene(disease), []).append(disease.id)
    return {gene: groups[gene] for gene in sorted(groups) if len(groups[gene]) >= 2}


def _short_frequent_findings(graph: Graph, disease: Disease) -> list[str]:
    return [
        term_id
        for term_id, edge in disease.findings.items()
        if edge.share >= MIN_FREQUENCY
        and len(graph.terms[term_id].name.split()) <= MAX_FINDING_WORDS
        and len(graph.terms[term_id].name) <= MAX_FINDING_LENGTH
        and _PLAIN_FINDING.fullmatch(graph.terms[term_id].name)
    ]


def _pool(graph: Graph, disease_id: str, same_gene: list[str], everyone: list[str]) -> tuple[str, ...]:
    """Up to POOL_SIZE eligible findings, none an ancestor of another; shared and short ones first."""
    disease = graph.diseases[disease_id]
    eligible = [
        term_id
        for term_id in _short_frequent_findings(graph, disease)
        if not any(leaks(graph.terms[term_id].name, graph.diseases[other].name) for other in same_gene)
    ]

    def rank(term_id: str) -> tuple[int, int, str]:
        shared = sum(graph.has(other, term_id) for other in everyone if other != disease_id)
        return -min(shared, 3), len(graph.terms[term_id].name), term_id

    pool: list[str] = []
    for term_id in sorted(eligible, key=rank):
        if len(pool) < POOL_SIZE and not any(graph.related(term_id, other) for other in pool):
            pool.append(term_id)
    return tuple(sorted(pool))


def _provable_sets(graph: Graph, disease_id: str, pool: tuple[str, ...], size: int) -> list[frozenset[str]]:
    return [frozenset(s) for s in combinations(pool, size) if graph.matches(s) == {disease_id}]


def _choose(
    graph: Graph,
    groups: dict[str, list[str]],
    pools: dict[str, tuple[str, ...]],
    provable: dict[str, list[frozenset[str]]],
    num_diseases: int,
    profile_size: int,
) -> list[str]:
    """Ids of `num_diseases` diseases, two or more a gene, whose weakest proves most; empty if there are too few."""
    everyone = sorted(provable)
    count = {}
    for i in everyone:
        profile = set(_profile(graph, i, pools[i], provable[i], everyone, profile_size))
        count[i] = sum(s <= profile for s in provable[i]) if len(profile) >= MIN_PROFILE else 0
    ranked = {gene: sorted(ids, key=lambda i: (-count[i], i)) for gene, ids in groups.items()}
    genes = sorted(ranked, key=lambda gene: (-count[ranked[gene][1]], gene))
    best: tuple[int, list[str]] = (0, [])
    # Each gene gives its two best diseases; what is then missing comes singly from the genes that have more.
    for num_genes in range(num_diseases // 2, 0, -1):
        chosen = [i for gene in genes[:num_genes] for i in ranked[gene][:2]]
        spare = sorted((i for gene in genes[:num_genes] for i in ranked[gene][2:]), key=lambda i: (-count[i], i))
        chosen += spare[: num_diseases - len(chosen)]
        weakest = min(count[i] for i in chosen)
        if len(chosen) == num_diseases and weakest > best[0]:
            best = weakest, chosen
    return sorted(best[1])


def _profile(
    graph: Graph,
    disease_id: str,
    pool: tuple[str, ...],
    provable: list[frozenset[str]],
    universe: list[str],
    profile_size: int,
) -> tuple[str, ...]:
    """The findings that questions about the disease may show.

    Findings that other diseases of the universe have as well make better questions but prove less; they are preferred
    as far as `ENOUGH_PROVABLE` evidence sets remain.
    """
    shared = {t: sum(graph.has(other, t) for other in universe if other != disease_id) for t in pool}
    best: tuple[int, tuple[str, ...]] = (-1, ())
    for preference in (3, 1, 0):
        profile = _reduced(pool, provable, profile_size, {t: 1 + min(n, preference) for t, n in shared.items()})
        count = sum(evidence <= set(profile) for evidence in provable)
        best = max(best, (count, profile))
        if count >= ENOUGH_PROVABLE:
            return profile
    return best[1]


def _reduced(
    pool: tuple[str, ...], provable: list[frozenset[str]], size: int, weight: dict[str, int]
) -> tuple[str, ...]:
    """Drop the finding that takes part in the fewest provable evidence sets, weighted, until `size` remain."""
    kept, alive = set(pool), list(provable)
    while len(kept) > size:
        votes = Counter(term_id for evidence in alive for term_id in evidence)
        worst = min(sorted(kept), key=lambda t: (votes[t] * weight[t], weight[t]))
        kept.remove(worst)
        alive = [evidence for evidence in alive if worst not in evidence]
    return tuple(sorted(kept))
