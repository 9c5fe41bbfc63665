"""Break cycles of a hierarchy, keeping the statements of the most trusted sources."""

from collections import defaultdict

from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.table import Edge


def without_cycles(edges: list[Edge], relation: str, ranks: dict[str, int], rejects: Rejects) -> list[Edge]:
    """The edges without those of `relation` that close a cycle; the latter are reported.

    Within a knot, edges are taken by rank of their source, then by name, as long as no cycle closes.
    """
    knot_of = _knots([(e.subject, e.object) for e in edges if e.relation == relation and not e.negated])
    suspects = [
        edge
        for edge in edges
        if edge.relation == relation
        and not edge.negated
        and knot_of.get(edge.subject, -1) == knot_of.get(edge.object, -2)
    ]
    above: dict[str, set[str]] = defaultdict(set)
    dropped = set()
    for edge in sorted(suspects, key=lambda e: (ranks.get(e.source, len(ranks)), e.subject, e.object, e.source)):
        if _reaches(edge.object, edge.subject, above):
            dropped.add(edge)
            raw = f"{edge.subject} {edge.relation} {edge.object}"
            rejects.add(edge.source, raw, "object", "closes a cycle", edge.evidence)
        else:
            above[edge.subject].add(edge.object)
    return [edge for edge in edges if edge not in dropped] if dropped else edges


def _reaches(start: str, goal: str, above: dict[str, set[str]]) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        fresh = above[here] - seen
        seen |= fresh
        waiting.extend(fresh)
    return False


def _knots(pairs: list[tuple[str, str]]) -> dict[str, int]:
    """Number of the knot of each node in one; a knot is a set of nodes that all reach each other (Tarjan 1972)."""
    above: dict[str, list[str]] = defaultdict(list)
    for subject, target in pairs:
        above[subject].append(target)
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    knots: dict[str, int] = {}
    for root in list(above):
        if root in order:
            continue
        calls = [(root, iter(above[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while calls:
            here, targets = calls[-1]
            for target in targets:
                if target not in order:
                    order[target] = low[target] = len(order)
                    stack.append(target)
                    on_stack.add(target)
                    calls.append((target, iter(above.get(target, ()))))
                    break
                if target in on_stack:
                    low[here] = min(low[here], order[target])
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[here])
                if low[here] == order[here]:
                    _close(here, stack, on_stack, knots)
    return knots


def _close(root: str, stack: list[str], on_stack: set[str], knots: dict[str, int]) -> None:
    members: list[str] = []
    while not members or members[-1] != root:
        members.append(stack.pop())
        on_stack.discard(members[-1])
    if len(members) > 1:
        number = len(knots)
        knots.update((member, number) for member in members)
