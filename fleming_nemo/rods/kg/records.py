"""What a reader takes out of one source, before the sources are joined."""

from dataclasses import dataclass, field

from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.table import Edge, Node, Text


@dataclass(slots=True)
class Extract:
    """Nodes and edges under the ids of the source itself; the join finds out which of them are the same thing."""

    version: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    rejects: Rejects = field(default_factory=Rejects)
    complete: bool = True  # false: something may succeed next time, so the source is read again then


def node(
    identifier: str,
    node_type: str,
    name: str,
    synonyms: tuple[str, ...] = (),
    identifiers: tuple[str, ...] = (),
    name_zh: str | None = None,
) -> Node:
    return Node(identifier, node_type, name, synonyms, identifiers, name_zh)


def edge(
    subject: str,
    relation: str,
    target: str,
    source: str,
    evidence: tuple[str, ...] = (),
    bounds: tuple[float, float] | None = None,
    negated: bool = False,
) -> Edge:
    low, high = bounds if bounds else (None, None)
    return Edge(subject, relation, target, source, evidence, low, high, negated)
