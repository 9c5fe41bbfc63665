"""Which responses share a prompt in one forward pass: families cut to the size of a pack.

Pure arithmetic over lengths, the same on every rank, like `packing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class Alike:
    """Sequences of a batch that begin with the same tokens, of which none is trained.

    Attributes:
        prefix: how many tokens; at least one of every sequence comes after them.
        members: which sequences.
    """

    prefix: int
    members: tuple[int, ...]

    def tokens(self, lengths: Sequence[int]) -> int:
        """Of a pack that holds the common beginning once."""
        return self.prefix + sum(lengths[i] - self.prefix for i in self.members)


def of_questions(prompts_PG: Sequence[Sequence[int]]) -> list[Alike]:
    """Sequences numbered question by question, from the lengths of their prompts, which are one prompt each.

    The last token of a prompt predicts a trained one: it is no part of the prefix.
    """
    number = count()
    return [Alike(max(0, min(group) - 1), tuple(next(number) for _ in group)) for group in prompts_PG]


def cut(families: Sequence[Alike], lengths: Sequence[int], budget: int, ranks: int) -> list[Alike]:
    """The same sequences in families of at most `budget` tokens, small enough to be dealt out evenly to `ranks`.

    Every part has the common beginning once more, so that parts are as large as those two aims allow.
    """
    total = sum(family.tokens(lengths) for family in families)
    # of whole families one rank might get two and another one: four parts a rank even that out
    limit = budget if ranks == 1 else min(budget, -(-total // (4 * ranks)))
    return [part for family in families for part in _parts(family, lengths, limit)]


def _parts(family: Alike, lengths: Sequence[int], limit: int) -> list[Alike]:
    parts: list[list[int]] = []
    size = limit + 1
    for i in family.members:
        own = lengths[i] - family.prefix
        if size + own > limit:
            parts.append([])
            size = family.prefix
        parts[-1].append(i)
        size += own
    return [Alike(family.prefix, tuple(part)) for part in parts]
