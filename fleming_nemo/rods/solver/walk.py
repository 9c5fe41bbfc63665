"""Walks from what a question names to its options, over the relations that its wording speaks of.

A walk spreads its weight evenly over the neighbours of each relation, so that what hangs together with everything
counts for little. It counts in full when it has used every relation that the question speaks of and, where the
question asks for another thing of the same kind, has come back over the relation that it went out by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleming_nemo.rods.solver.view import View

HOPS = 4
_WIDEST = 300
"""States of a walk that are followed further, the heaviest first."""
_UNUSED = 0.02
"""What a walk is worth for every relation of the question that it leaves out."""
_PER_HOP = 0.5
_HUB = 1_000
"""A node with more neighbours of one relation (a mode of inheritance) is no way from one of them to another."""
_WITHOUT_CUE = ("caused_by", "has_mechanism", "inherited_as", "interacts_with", "has_gene_drug_guideline")

State = tuple[int, int, int, int]
"""(where the walk began, where it is, relations used as bits, the last of them)."""


def walk(
    view: View, start: Iterable[tuple[int, float]], relations: Sequence[str], another: bool, targets: frozenset[int]
) -> dict[int, float]:
    """Weight of the walks that end at each target; `start` gives nodes with their weights."""
    allowed = tuple(dict.fromkeys(relations)) or _WITHOUT_CUE
    every = (1 << len(allowed)) - 1 if relations else 0
    states: dict[State, float] = {(node, node, 0, -1): weight for node, weight in start}
    found: dict[int, float] = {}
    complete = False
    for hop in range(1, HOPS + 1):
        following: dict[State, float] = {}
        for (origin, node, used, last), weight in _heaviest(states):
            for number, relation in enumerate(allowed):
                near = view.neighbours(node, relation)
                if hop > 1 and len(near) > _HUB:
                    continue
                for other in near:
                    if other == origin:
                        continue
                    share = weight / len(near)
                    if other in targets:
                        missing = (every & ~(used | 1 << number)).bit_count()
                        missing += another and last != number
                        complete = complete or not missing
                        found[other] = found.get(other, 0.0) + share * _PER_HOP**hop * _UNUSED**missing
                    key = origin, other, used | 1 << number, number
                    following[key] = following.get(key, 0.0) + share
        if complete:  # longer walks say what this one says, less clearly
            break
        states = following
    return found


def _heaviest(states: dict[State, float]) -> list[tuple[State, float]]:
    if len(states) <= _WIDEST:
        return list(states.items())
    return sorted(states.items(), key=lambda pair: (-pair[1], pair[0]))[:_WIDEST]
