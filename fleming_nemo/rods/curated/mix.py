"""Mixing: so many items, in given shares of sources, languages and difficulties.

A share says how much of the whole has this value; what is not named shares the rest as it occurs in the pool. Cells
(source, language, difficulty) get their quota by raking the pool's own table to the asked margins (iterative
proportional fitting), so that sources keep their character where nothing is asked; whole numbers come from the largest
remainders. Which items of a cell are taken depends on seed and item id only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import QAItem

AXES = ("source", "language", "difficulty")
Cell = tuple[str, str, str]
_ROUNDS = 2000
_TOLERANCE = 1e-9
# Raking comes near slowly where cells are empty; this is one item in ten thousand.
_CLOSE = 1e-4
_REST = "(not named)"


@dataclass(frozen=True)
class Mix:
    """What to draw. `total` 0 = as many as the shares allow. Shares of an axis add up to at most 1."""

    total: int = 0
    source: dict[str, float] = field(default_factory=dict)
    language: dict[str, float] = field(default_factory=dict)
    difficulty: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.total) is not int or self.total < 0:
            raise UserError(f"mix.total: expected a count or 0 for all that the shares allow, found {self.total!r}.")
        for axis in AXES:
            shares = getattr(self, axis)
            wrong = [
                v for v in shares.values() if isinstance(v, bool) or not isinstance(v, int | float) or not 0 <= v <= 1
            ]
            if wrong or sum(shares.values()) > 1 + 1e-9:
                raise UserError(f"mix.{axis}: expected shares of at most 1 in all, found {shares}.")


def cell(item: QAItem) -> Cell:
    return item.source, item.language, item.difficulty or "none"


def draw(items: Sequence[QAItem], mix: Mix, seed: int) -> tuple[list[QAItem], dict[str, object]]:
    """(items in a fixed shuffled order, report of what was asked, there and taken).

    Raises UserError when a named value is not in the pool, when the shares contradict each other, and when a pool is
    too small for `total`; it says which and how many are there.
    """
    pool = Counter(map(cell, items))
    if not pool:
        raise UserError("mix: nothing to mix, every item was set aside; see the rejects files.")
    shares = _rake(pool, mix)
    largest = min(int(pool[c] / share + 1e-6) for c, share in shares.items() if share > _TOLERANCE)
    quota = whole_numbers(shares, mix.total or largest)
    short = {c: (n, pool[c]) for c, n in quota.items() if n > pool[c]}
    if not mix.total:  # rounding up may ask for one more than there is
        quota = {c: min(n, pool[c]) for c, n in quota.items()}
    elif short:
        said = "; ".join(f"{'/'.join(c)} needs {n}, has {there}" for c, (n, there) in sorted(short.items())[:8])
        raise UserError(
            f"mix: the pool is too small for {mix.total} items: {said}. At most about {largest} have these shares."
        )
    taken: list[QAItem] = []
    left = dict(quota)
    for item in sorted(items, key=lambda i: (_place(seed, i.id), i.id)):
        if left.get(cell(item), 0) > 0:
            left[cell(item)] -= 1
            taken.append(item)
    return taken, _report(pool, quota, mix, seed)


def whole_numbers(shares: Mapping[Cell, float], total: int) -> dict[Cell, int]:
    """Counts that add up to `total`: rounded down, the rest to the largest remainders (ties by name)."""
    exact = {c: share * total for c, share in shares.items()}
    counts = {c: int(value + 1e-9) for c, value in exact.items()}
    by_remainder = sorted(exact, key=lambda c: (counts[c] - exact[c], c))
    for c in by_remainder[: total - sum(counts.values())]:
        counts[c] += 1
    return counts


def _rake(pool: Mapping[Cell, int], mix: Mix) -> dict[Cell, float]:
    """Shares of the cells with the asked margins."""
    size = sum(pool.values())
    shares = {c: n / size for c, n in sorted(pool.items())}
    margins = [
        (axis, _targets(axis, pool, getattr(mix, name), name)) for axis, name in enumerate(AXES) if getattr(mix, name)
    ]
    for _ in range(_ROUNDS):
        off = 0.0
        for axis, target in margins:
            found = _margin(shares, axis, target)
            off = max(off, *(abs(found[group] - target[group]) for group in target))
            factor = {group: target[group] / found[group] if found[group] > 0 else 0.0 for group in target}
            shares = {c: s * factor[c[axis] if c[axis] in target else _REST] for c, s in shares.items()}
        if off < _TOLERANCE:
            return shares
    wrong = []
    for axis, target in margins:
        found = _margin(shares, axis, target)
        wrong += [f"{AXES[axis]} {group}" for group in target if abs(found[group] - target[group]) > _CLOSE]
    if wrong:
        said = ", ".join(sorted(wrong))
        raise UserError(f"mix: the shares contradict each other for this pool ({said}): no draw has them all.")
    return shares


def _margin(shares: Mapping[Cell, float], axis: int, target: Mapping[str, float]) -> dict[str, float]:
    found = dict.fromkeys(target, 0.0)
    for c, share in shares.items():
        found[c[axis] if c[axis] in target else _REST] += share
    return found


def _targets(axis: int, pool: Mapping[Cell, int], asked: Mapping[str, float], name: str) -> dict[str, float]:
    """Asked share by value; `_REST` stands for all values that are not named."""
    there = {c[axis] for c in pool}
    missing = [value for value, share in asked.items() if share > 0 and value not in there]
    if missing:
        raise UserError(f"mix.{name}: no item has {', '.join(missing)}; the pool has {', '.join(sorted(there))}.")
    rest = max(1 - sum(asked.values()), 0.0)
    named = {value: share for value, share in asked.items() if value in there}
    if there <= named.keys():
        if rest > _TOLERANCE:
            raise UserError(
                f"mix.{name}: the shares add up to {1 - rest:g} and nothing else is in the pool; make them 1."
            )
        return named
    return {**named, _REST: rest}


def _place(seed: int, identity: str) -> bytes:
    return hashlib.sha256(f"{seed}/{identity}".encode()).digest()


def _report(pool: Mapping[Cell, int], quota: Mapping[Cell, int], mix: Mix, seed: int) -> dict[str, object]:
    total = sum(quota.values())
    axes: dict[str, object] = {}
    for axis, name in enumerate(AXES):
        there, taken = Counter[str](), Counter[str]()
        for c, n in pool.items():
            there[c[axis]] += n
            taken[c[axis]] += quota.get(c, 0)
        asked = getattr(mix, name)
        axes[name] = {
            v: {
                "asked": asked.get(v),
                "share": round(taken[v] / total, 6) if total else 0.0,
                "taken": taken[v],
                "pool": there[v],
            }
            for v in sorted(there)
        }
    return {"total": total, "seed": seed, "axes": axes}
