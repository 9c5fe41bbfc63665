"""Which sequences share a forward pass, on which rank: packs of equal size under a token budget.

Pure arithmetic over lengths, the same on every rank, so that nothing has to be agreed on.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence

Pack = list[int]
"""Indices of the sequences of one forward pass; empty where there are fewer sequences than passes."""


def plan(
    lengths: Sequence[int], budget: int, ranks: int, group: int = 1, known: Sequence[Pack] = ()
) -> list[list[Pack]]:
    """Deal sequences out to `ranks` data-parallel ranks, as few packs of at most `budget` tokens each.

    Every rank gets the same number of packs, a multiple of `group` (the interleaved pipeline schedule takes
    micro-batches in groups of one per stage).  Packs are of nearly equal size; ranks, of nearly equal attention work.

    Args:
        lengths: tokens of each sequence, padding to the pack's alignment included.
        budget: tokens that a pack may have.
        known: a packing of these very sequences, if a corpus stores one; used where it needs fewer packs and each of
            them fits (alignment may have made sequences longer since).

    Returns:
        For each rank its packs; every index occurs exactly once.

    Raises:
        ValueError: a sequence is longer than the budget; none is ever cut.
    """
    if lengths and max(lengths) > budget:
        raise ValueError(f"a sequence of {max(lengths)} tokens does not fit into packs of {budget}")
    step = ranks * group
    count = max(1, -(-sum(lengths) // (budget * step))) * step
    while True:
        packs = _level(lengths, count)
        if max(_size(lengths, p) for p in packs) <= budget:
            break
        tight = _tight(lengths, budget, known)
        if len(tight) <= count:
            packs = tight + [[] for _ in range(count - len(tight))]
            break
        count += step
    return _deal(lengths, packs, ranks)


def _size(lengths: Sequence[int], pack: Pack) -> int:
    return sum(lengths[i] for i in pack)


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def _level(lengths: Sequence[int], count: int) -> list[Pack]:
    """`count` packs as equal as longest-first into the emptiest pack makes them."""
    packs: list[Pack] = [[] for _ in range(count)]
    fill = [(0, n) for n in range(count)]
    for i in _longest_first(lengths):
        used, n = fill[0]
        packs[n].append(i)
        heapq.heapreplace(fill, (used + lengths[i], n))
    return packs


def _tight(lengths: Sequence[int], budget: int, known: Sequence[Pack]) -> list[Pack]:
    packs = _best_fit(lengths, budget)
    if known and len(known) < len(packs) and max(_size(lengths, p) for p in known) <= budget:
        return list(known)
    return packs


def _best_fit(lengths: Sequence[int], budget: int) -> list[Pack]:
    """As few packs as longest-first into the fullest pack with room makes them."""
    packs: list[Pack] = []
    room: list[tuple[int, int]] = []  # (tokens left, pack), ascending
    for i in _longest_first(lengths):
        at = bisect_left(room, (lengths[i], -1))
        if at == len(room):
            packs.append([])
            insort(room, (budget - lengths[i], len(packs) - 1))
            packs[-1].append(i)
        else:
            left, n = room.pop(at)
            packs[n].append(i)
            insort(room, (left - lengths[i], n))
    return packs


def _deal(lengths: Sequence[int], packs: list[Pack], ranks: int) -> list[list[Pack]]:
    """Equal numbers of packs to each rank, by turns there and back, the most expensive first."""
    # attention grows with the square of each sequence; everything else is the same for packs of equal size
    by_cost = sorted(packs, key=lambda p: (-sum(lengths[i] ** 2 for i in p), p))
    dealt: list[list[Pack]] = [[] for _ in range(ranks)]
    for turn, start in enumerate(range(0, len(by_cost), ranks)):
        hand = by_cost[start : start + ranks]
        for rank, pack in enumerate(hand if turn % 2 == 0 else reversed(hand)):
            dealt[rank].append(pack)
    return dealt
