"""Option lists: a seed and near misses of it, such that every member can be asked while all others stand beside it.

Relation-preserving distractors diverge from the answer on something that the graph states. Whether they can is a
question of pairs, answered before any finding is chosen: a member bars what its start leads to as well, what lies on
its own path, and every option with a disease behind it that no finding of the member's disease refutes.
"""

from dataclasses import dataclass

from fleming_nemo.rods.synth.names import Names
from fleming_nemo.rods.synth.sampler import Turns
from fleming_nemo.rods.synth.stocks import Stock, Stocks

MOST_OPTIONS = 21
_REACH = 2
_FARTHEST = 5
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Member:
    """One option and the walk by which it is asked."""

    target: int
    walk: tuple[int, ...]
    barred: frozenset[int]
    unrefutable: int
    """Diseases, as a bitset, that nothing known about the walk's start refutes."""


class OptionLists:
    def __init__(self, stocks: Stocks, names: Names) -> None:
        self._stocks, self._names, self._facts = stocks, names, stocks.facts
        self._alike: dict[int, frozenset[int]] = {}

    def draw(self, stock: Stock, seed: int, size: int, turns: Turns) -> list[Member]:
        """The seed and up to `size` near misses, more than are needed by one in five as some will not be proven."""
        wanted = size + 1 + size // 5
        near = stock.near.nearest(seed)
        # The nearest first, in the order of their turns; farther ones where a long list asks for them.
        close = max(_REACH * wanted, 12)
        members: list[Member] = []
        alike: set[int] = set()
        for node in (seed, *turns.order(near[:close], stock.later), *near[close : _FARTHEST * wanted]):
            if node in alike:
                continue
            member = self._member(stock, node, members, turns)
            if member is not None:
                members.append(member)
                alike |= self.alike(node)
            if len(members) == wanted or not members:
                break
        return members

    def permits(self, stock: Stock, member: Member, option: int) -> bool:
        """Whether `option` can be proven wrong when `member` is asked for."""
        if option in member.barred or option in member.walk:
            return False
        return not member.unrefutable or not stock.walker.behind_bits(option) & member.unrefutable

    def alike(self, node: int) -> frozenset[int]:
        """What could pass for the node: kinds of it, what it is a kind of, and what shares a name with it."""
        if node not in self._alike:
            self._alike[node] = self._facts.related(node) | self._names.twins(node)
        return self._alike[node]

    def _member(self, stock: Stock, node: int, others: list[Member], turns: Turns) -> Member | None:
        """The node with a walk that permits all others, when they permit it."""
        if not all(self.permits(stock, other, node) for other in others):
            return None
        for walk in turns.walks(stock.walker.walks[node], _TRIES, stock.later):
            unrefutable = 0
            if stock.family.start != "named" and not stock.family.functional:
                unrefutable = self._stocks.finder(stock.family).unrefutable(walk[0])
            member = Member(node, walk, stock.walker.barred(walk[0]), unrefutable)
            if all(self.permits(stock, member, other.target) for other in others):
                return member
        return None
