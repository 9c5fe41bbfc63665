"""The two pools of stage 2, made anew from the ledger after every mining round.

Nothing of a pool is carried over from one round to the next, so items move both ways: one that has become right leaves
the wrong pool, one that is forgotten comes back.  right + wrong + between + quarantined is always the whole pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum import quarantine
from fleming_nemo.grpo.curriculum.mixture import Pool
from fleming_nemo.grpo.ledger import Ledger

ROLES = ("right", "wrong", "between", "quarantined")

MOST_TURNS = 4
"""An item of the wrong pool comes at most so often in an epoch."""


def turns(item: QAItem, failures: int) -> int:
    """How often an item of the wrong pool comes in an epoch: 1, one more for every earlier mining round that it failed,
    one more if it is difficult, at most `MOST_TURNS`.

    Args:
        failures: mining rounds failed so far, with the newest.
    """
    return min(MOST_TURNS, failures + (item.difficulty == "difficult"))


@dataclass(frozen=True)
class Split:
    """Where each item of the whole pool is after a mining round."""

    right: list[QAItem]
    wrong: list[QAItem]
    between: list[QAItem]
    quarantined: list[QAItem]
    turns: list[int]
    """Of each item of `wrong`."""

    def pools(self) -> dict[str, Pool]:
        """What is drawn from, in the order of `grpo.mix`."""
        return {"right": Pool(self.right), "wrong": Pool(self.wrong, self.turns)}

    def roles(self) -> dict[str, str]:
        """Item id -> right, wrong, between or quarantined."""
        return {item.id: name for name in ROLES for item in getattr(self, name)}


def split(cfg: RunConfig, items: Sequence[QAItem], ledger: Ledger, failed: frozenset[str] | None) -> Split:
    """Split `items` by the newest mining round of the ledger, which has an entry of each.

    Wrong up to the first pass rate of `grpo.pass_rates`, right from the second on; what lies between is not drawn.

    Args:
        failed: ids that failed the label check, None where there was none.
    """
    rate = {item.id: ledger.minings(item.id)[-1].pass_rate for item in items}
    out = set(quarantine.quarantined(rate, ledger, failed)) if failed and cfg.grpo.quarantine else set()
    wrong_at, right_at = cfg.grpo.pass_rates
    right = [item for item in items if rate[item.id] >= right_at]
    wrong = [item for item in items if rate[item.id] <= wrong_at and item.id not in out]
    between = [item for item in items if wrong_at < rate[item.id] < right_at]
    return Split(
        right=right,
        wrong=wrong,
        between=between,
        quarantined=[item for item in items if item.id in out],
        turns=[turns(item, ledger.failures(item.id, wrong_at)) for item in wrong],
    )


def report(items: Sequence[QAItem], ledger: Ledger, made: Split) -> dict[str, Any]:
    """Sizes of the pools, pass rates by difficulty, and how the wrong pool is weighted."""
    entries = {item.id: ledger.minings(item.id)[-1] for item in items}
    role = made.roles()
    tiers: dict[str, Any] = {}
    for tier in sorted({str(item.difficulty) for item in items}):
        members = [item for item in items if str(item.difficulty) == tier]
        mean = sum(entries[item.id].pass_rate for item in members) / len(members)
        tiers[tier] = {"items": len(members), "pass_rate": mean, **Counter(role[item.id] for item in members)}
    return {
        "policy_version": entries[items[0].id].policy,
        "rollouts_per_item": entries[items[0].id].rollouts,
        **_sizes(made),
        "by_difficulty": tiers,
        "wrong_by_turns": {str(n): count for n, count in sorted(Counter(made.turns).items())},
    }


def round_row(step: int, policy: str, before: dict[str, str], made: Split) -> dict[str, Any]:
    """What one mining round changed; `before` are the roles after the round before (empty for the first)."""
    after = made.roles()
    return {
        "step": step,
        "policy": policy,
        **_sizes(made),
        "entered_wrong": sum(role == "wrong" != before[i] for i, role in after.items()) if before else 0,
        "left_wrong": sum(role == "wrong" != after[i] for i, role in before.items()),
    }


def _sizes(made: Split) -> dict[str, int]:
    return {name: len(getattr(made, name)) for name in ROLES}
