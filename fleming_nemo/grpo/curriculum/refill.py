"""Dynamic sampling (DAPO, arXiv 2503.14476): groups without signal are replaced by groups of further questions.

A group whose rollouts are all right or all wrong has no advantage and teaches nothing.  Which groups those are is told
from raw accuracy, never from a shaped reward, and from the whole group at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from fleming_nemo.data.items import QAItem
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.episodes import Episode

T = TypeVar("T")
Numbered = Sequence[tuple[int, QAItem]]
"""Questions with their number within the step."""


@dataclass
class Batch:
    """What a step played and what it trains on.

    Attributes:
        played: groups of this rank by the number of their question, in increasing order.
        chosen: number of the question behind each place of the batch; the same on all ranks.
        asked: questions played by all ranks together; the first `len(chosen)` of them are the ones first drawn.
    """

    played: dict[int, list[Episode]] = field(default_factory=dict)
    chosen: list[int] = field(default_factory=list)
    asked: int = 0

    @property
    def extra(self) -> int:
        """Questions played beyond those first drawn."""
        return self.asked - len(self.chosen)

    def first(self) -> list[list[Episode]]:
        """This rank's groups of the questions first drawn: a sample of the pools that no choice has touched."""
        return [group for n, group in self.played.items() if n < len(self.chosen)]

    def trained(self) -> dict[int, list[Episode]]:
        """This rank's groups of the batch by the number of their question."""
        chosen = set(self.chosen)
        return {n: group for n, group in self.played.items() if n in chosen}

    def in_order(self, of: Callable[[list[Episode]], T]) -> list[T]:
        """One small value of every group played on any rank, in the order of the questions."""
        parts = groups.gather_over_dp({n: of(group) for n, group in self.played.items()})
        values = {n: value for part in parts for n, value in part.items()}
        return [values[n] for n in sorted(values)]


def fill(
    size: int,
    draw: Callable[[int], list[QAItem]],
    play: Callable[[Numbered], list[list[Episode]]],
    rounds: int,
    rank: int,
    ranks: int,
) -> Batch:
    """Play `size` questions, then up to `rounds` times as many further ones as there are groups without signal.

    Groups with signal take the places of those without in the order of the questions; where the bound leaves some, the
    groups first played stay.  Collective over the data-parallel ranks; what is chosen does not depend on their number.

    Args:
        draw: the next so many questions of the stream, the same on all ranks.
        play: groups of this rank's questions.
        rank, ranks: of the data-parallel ranks.
    """
    batch = Batch()
    flat: dict[int, bool] = {}

    def ask(count: int) -> list[int]:
        # numbered before they are dealt out: the number of ranks must not change what is sampled
        numbered = list(enumerate(draw(count), batch.asked))
        batch.asked += count
        mine = numbered[rank::ranks]
        found = {n: group for (n, _), group in zip(mine, play(mine), strict=True)}
        batch.played.update(found)
        for part in groups.gather_over_dp({n: is_flat(group) for n, group in found.items()}):
            flat.update(part)
        return [n for n, _ in numbered]

    batch.chosen = ask(size)
    for _ in range(rounds):
        empty = [place for place, n in enumerate(batch.chosen) if flat[n]]
        if not empty:
            break
        lively = [n for n in ask(len(empty)) if not flat[n]]
        for place, n in zip(empty, lively, strict=False):
            batch.chosen[place] = n
    return batch


def is_flat(group: Sequence[Episode]) -> bool:
    """Whether all rollouts of a group are right, or none is."""
    return len({e.correct for e in group}) == 1
