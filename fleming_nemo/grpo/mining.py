"""Adaptive hard-sample mining: run a policy over the whole pool and split it by what it gets right.

An item is right at a pass rate of `grpo.right_at` or more and wrong at `grpo.wrong_at` or less; what lies between is
drawn in neither role.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.grpo.ledger import Entry, entry
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.local import examiner
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import watchdog
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.progress import quiet


def mine(cfg: RunConfig, engine: Engine, chat: ChatTokenizer, items: Sequence[QAItem], policy: str) -> list[Entry]:
    """`grpo.mining_rollouts` rollouts of every item under the current weights; entries in the order of the items."""
    layout = engine.layout
    mine_items = items[layout.dp_rank :: layout.dp]
    rollouts = range(cfg.grpo.mining_rollouts)
    asked = [(item, [request_seed("mining", cfg.seed, item.id, k) for k in rollouts]) for item in mine_items]
    bar = tqdm(
        total=len(asked) * len(rollouts),
        desc=f"{cfg.stage} mining",
        disable=quiet(),
    )
    with bar, watchdog.phase("mining"):
        played = examiner(cfg, engine, chat, bar).play(asked, cfg.rollout.temperature, 0)
    counted = [entry(episodes, policy, "mining") for episodes in played]
    by_id = {e.item_id: e for part in groups.gather_over_dp(counted) for e in part}
    return [by_id[item.id] for item in items]


def split(cfg: RunConfig, items: Sequence[QAItem], entries: Sequence[Entry]) -> dict[str, list[QAItem]]:
    """Pools "right" and "wrong" of stage 2."""
    rate = {e.item_id: e.pass_rate for e in entries}
    return {
        "right": [item for item in items if rate[item.id] >= cfg.grpo.right_at],
        "wrong": [item for item in items if rate[item.id] <= cfg.grpo.wrong_at],
    }


def report(
    cfg: RunConfig, items: Sequence[QAItem], entries: Sequence[Entry], pools: dict[str, list[QAItem]]
) -> dict[str, Any]:
    """mining.json: sizes of the pools, pass rates by difficulty, and the entries themselves."""
    role = {item.id: name for name, pool in pools.items() for item in pool}
    rate = {e.item_id: e.pass_rate for e in entries}
    tiers: dict[str, Any] = {}
    for tier in sorted({str(item.difficulty) for item in items}):
        members = [item for item in items if str(item.difficulty) == tier]
        counts = Counter(role.get(item.id, "between") for item in members)
        mean = sum(rate[item.id] for item in members) / len(members)
        tiers[tier] = {"items": len(members), "pass_rate": mean, **counts}
    return {
        "policy_version": entries[0].policy,
        "rollouts_per_item": cfg.grpo.mining_rollouts,
        "right": len(pools["right"]),
        "wrong": len(pools["wrong"]),
        "between": len(items) - len(role),
        "by_difficulty": tiers,
    }
