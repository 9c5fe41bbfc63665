"""Join the extracts of several sources into one graph.

Sources come in a fixed order; the first to name a thing gives it its id and name, later ones add synonyms, ids and a
Chinese name. Then edges follow their ends to the joined nodes; statements of one source that fall together become
one edge with all their evidence and the widest bounds. A fact and its denial stay two edges.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from fleming_nemo.rods.kg.hierarchy import without_cycles
from fleming_nemo.rods.kg.match import Matcher
from fleming_nemo.rods.kg.names import folded
from fleming_nemo.rods.kg.records import Extract, Text
from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.schema import HIERARCHIES, SYMMETRIC
from fleming_nemo.rods.kg.table import Edge, Node


def no_variants(name: str) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Manner:
    """How a source joins. Names in another language than English (`spoken` false) do not become synonyms."""

    spoken: bool = True
    adds_nodes: bool = True
    variants: Callable[[str], Iterator[str]] = no_variants


@dataclass(slots=True)
class Joined:
    nodes: list[Node]
    edges: list[Edge]
    texts: list[Text]
    joins: dict[str, dict[str, int]] = field(default_factory=dict)
    contradictions: int = 0


@dataclass(slots=True)
class _Growing:
    node: Node
    spoken: bool
    synonyms: dict[str, str] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)
    name_zh: str | None = None

    def add(self, node: Node, spoken: bool) -> None:
        if spoken and not self.spoken:
            self.node, self.spoken = replace(self.node, name=node.name), True
        self.identifiers.update((node.id, *node.identifiers))
        self.name_zh = self.name_zh or node.name_zh
        if spoken:
            for name in (node.name, *node.synonyms):
                self.synonyms.setdefault(folded(name), name)

    def done(self) -> Node:
        name = folded(self.node.name)
        synonyms = tuple(sorted(text for key, text in self.synonyms.items() if key not in ("", name)))
        identifiers = tuple(sorted(self.identifiers - {self.node.id}))
        return replace(self.node, synonyms=synonyms, identifiers=identifiers, name_zh=self.name_zh)


def join(extracts: list[tuple[str, Extract, Manner]], rejects: Rejects) -> Joined:
    """`extracts` as (source, extract, manner) in order of trust; what cannot be joined goes to `rejects`."""
    matcher = Matcher()
    growing: dict[str, _Growing] = {}
    types: dict[str, str] = {}
    joins: dict[str, dict[str, int]] = {}
    aliases: list[dict[str, str]] = []
    for source, extract, manner in extracts:
        ways: Counter[str] = Counter()
        alias: dict[str, str] = {}
        resolved = []
        for node in extract.nodes:
            key, how = matcher.find(node, types, manner.variants)
            ways["not in the graph, left out" if not key and not manner.adds_nodes else how] += 1
            resolved.append((how not in ("id", "name"), node, key or (node.id if manner.adds_nodes else "")))
        # Learned only now: rows of one source are not compared by name with each other. The best matches come first,
        # since the first Chinese name is kept.
        for _, node, key in sorted(resolved, key=lambda row: row[0]):
            if not key:
                continue
            if key not in growing:
                growing[key], types[key] = _Growing(node, manner.spoken), node.type
            growing[key].add(node, manner.spoken)
            matcher.learn(node, key, manner.spoken)
            alias[node.id] = key
        aliases.append(alias)
        joins[source] = dict(sorted(ways.items()))
    merged: dict[tuple[str, str, str, str, bool], Edge] = {}
    for (source, extract, _), alias in zip(extracts, aliases, strict=True):
        for edge in extract.edges:
            moved = _moved(edge, alias, matcher, source, rejects)
            if moved:
                said = (moved.subject, moved.relation, moved.object, moved.source, moved.negated)
                merged[said] = _together(merged[said], moved) if said in merged else moved
    ranks = {source: rank for rank, (source, _, _) in enumerate(extracts)}
    edges = list(merged.values())
    for relation in HIERARCHIES:
        edges = without_cycles(edges, relation, ranks, rejects)
    texts = {
        replace(text, id=alias.get(text.id, text.id))
        for (_, extract, _), alias in zip(extracts, aliases, strict=True)
        for text in extract.texts
    }
    ordered = sorted(texts, key=lambda t: (t.id, t.kind, t.source, t.text))
    return Joined([g.done() for g in growing.values()], edges, ordered, joins, _contradictions(edges))


def _moved(edge: Edge, alias: dict[str, str], matcher: Matcher, source: str, rejects: Rejects) -> Edge | None:
    ends = [alias.get(x) or matcher.owner.get(x, "") for x in (edge.subject, edge.object)]
    raw = f"{edge.subject} {edge.relation} {edge.object}"
    for field_name, end in zip(("subject", "object"), ends, strict=True):
        if not end:
            rejects.add(source, raw, field_name, "dangling edge: no such node", edge.evidence)
            return None
    if ends[0] == ends[1]:
        rejects.add(source, raw, "object", "both ends are the same node after joining", f"{ends[0]} {edge.evidence}")
        return None
    if edge.relation in SYMMETRIC:
        ends.sort()
    return replace(edge, subject=ends[0], object=ends[1])


def _together(first: Edge, second: Edge) -> Edge:
    lows = [x for x in (first.low, second.low) if x is not None]
    highs = [x for x in (first.high, second.high) if x is not None]
    evidence = tuple(sorted({*first.evidence, *second.evidence}))
    return replace(first, evidence=evidence, low=min(lows, default=None), high=max(highs, default=None))


def _contradictions(edges: list[Edge]) -> int:
    sides: dict[tuple[str, str, str], set[bool]] = defaultdict(set)
    for edge in edges:
        sides[edge.subject, edge.relation, edge.object].add(edge.negated)
    return sum(len(found) == 2 for found in sides.values())
