"""What a question says, as far as names and a few everyday phrases tell: findings, entities, and what is asked about.

Nothing here knows how the questions were made: no path family, no proof, no provenance. Words that relate things in
medical prose ("mechanism", "inherited", "interaction") stand for relations of the graph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.solver.lexicon import Lexicon

_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])|(?<=[。？！])")
_CLAUSE = re.compile(r"[;；]|[:：](?=\s|[\u3400-\u9fff])")
_LISTED = re.compile(r"[;；:：]")
_DENIED = re.compile(
    r"\bno (?:evidence|sign|history) of\b|\babsent\b|\bwithout\b|\bnot (?:seen|found|present)\b|\bdenies\b"
    r"|未见|没有|排除|否认|不伴|无(?:以下|下列)",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(r"(?:at least|more than|over|至少|超过|不少于)\s*(\d{1,3})\s*[%％]", re.IGNORECASE)
_AT_MOST = re.compile(r"(?:fewer than|less than|under|at most|不足|少于|低于)\s*(\d{1,3})\s*[%％]", re.IGNORECASE)
_CUES = (
    ("has_mechanism", re.compile(r"mechanism|mode of action|\bacts?\b|作用机制|作用机理", re.IGNORECASE)),
    ("inherited_as", re.compile(r"inherit|遗传方式|如何遗传", re.IGNORECASE)),
    ("interacts_with", re.compile(r"interact|相互作用", re.IGNORECASE)),
    ("has_gene_drug_guideline", re.compile(r"pharmacogen|guideline|药物基因组|指南", re.IGNORECASE)),
    (
        "caused_by",
        re.compile(r"\bcaus|responsible|explains? the|gene behind|underl|致病|所致|引起|变异可解释", re.IGNORECASE),
    ),
)
_ANOTHER = re.compile(r"\bother\b|\balso cause|\bsame\b|\banother\b|\bshares?\b|相同|还可|另一", re.IGNORECASE)

_ENTITIES = ("disease", "gene", "drug", "mechanism", "variant", "inheritance")
# Words of the questions themselves; the graph has nodes that go by them.
_PLAIN = re.compile(
    r"(?:diseases?|disorders?|syndromes?|conditions?|genes?|drugs?|variants?|mechanisms?|patients?|inherit\w*|affected"
    r"|findings?|history|diagnos[ei]s|acts?|cases?|records?|recorded|profile|picture|疾病|患者|药物|基因|变异|机制)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Nodes that the name may stand for. `share`: ("least" or "most", share of patients) where a frequency is given."""

    nodes: tuple[int, ...]
    denied: bool
    share: tuple[str, float] | None = None


@dataclass(slots=True)
class Reading:
    """`relations` are those that the wording speaks of; `another`: a second thing of the same kind is asked for."""

    findings: list[Finding] = field(default_factory=list)
    entities: list[tuple[int, ...]] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    another: bool = False
    options: list[tuple[int, ...]] = field(default_factory=list)
    """Nodes of each option; empty where the graph knows none of that name."""


def read(kg: KnowledgeGraph, lexicon: Lexicon, question: str, options: Sequence[str]) -> Reading:
    """Read one question."""
    found = Reading(options=_options(kg, lexicon, options))
    for sentence in _SENTENCE.split(question):
        denied = bool(_DENIED.search(_without_names(lexicon, sentence)))
        listed = bool(_LISTED.search(sentence))
        for clause in _CLAUSE.split(sentence):
            _clause(kg, lexicon, clause, denied, listed, found)
    asked = _without_names(lexicon, question)
    found.relations = [relation for relation, cue in _CUES if cue.search(asked)]
    found.another = bool(_ANOTHER.search(asked))
    kinds = {kg.types[node] for nodes in found.options for node in nodes}
    started = {kg.types[node] for nodes in found.entities for node in nodes}
    if "variant" in started:
        found.relations.append("has_variant")
    if "gene" in kinds and "caused_by" not in found.relations and not found.relations:
        found.relations.append("caused_by")
    return found


def _clause(kg: KnowledgeGraph, lexicon: Lexicon, clause: str, denied: bool, listed: bool, found: Reading) -> None:
    least, most = _AT_LEAST.search(clause), _AT_MOST.search(clause)
    share = ("least", int(least[1]) / 100) if least else ("most", int(most[1]) / 100) if most else None
    for mention in lexicon.mentions(clause):
        if _PLAIN.fullmatch(clause[mention.start : mention.end]):
            continue
        findings = tuple(n for n in mention.nodes if kg.types[n] == "phenotype")
        others = tuple(n for n in mention.nodes if kg.types[n] in _ENTITIES)
        # In a list a name that is both ("seizure") is meant as a finding.
        if findings and (listed or not others):
            found.findings.append(Finding(findings, denied, share))
        elif others:
            found.entities.append(others)


def _options(kg: KnowledgeGraph, lexicon: Lexicon, options: Sequence[str]) -> list[tuple[int, ...]]:
    """Nodes of the options; where names are ambiguous, of the type that most options can have."""
    whole = [lexicon.whole(text) for text in options]
    counts: dict[str, int] = {}
    for nodes in whole:
        for kind in {kg.types[n] for n in nodes}:
            counts[kind] = counts.get(kind, 0) + 1
    if not counts:
        return whole
    kind = min(counts, key=lambda name: (-counts[name], name))
    return [tuple(n for n in nodes if kg.types[n] == kind) for nodes in whole]


def _without_names(lexicon: Lexicon, question: str) -> str:
    """The question without the names in it: 'cyclooxygenase inhibitor' and 'inherited ...' are no words about them."""
    parts, at = [], 0
    for mention in lexicon.mentions(question):
        if _PLAIN.fullmatch(question[mention.start : mention.end]):
            continue
        parts.append(question[at : mention.start])
        at = mention.end
    return " ".join([*parts, question[at:]])
