"""Adaptive hard-sample mining: run a policy over the whole pool and count what it gets right."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.ledger import Entry, entry
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.engines import Rollouts
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import stop, watchdog
from fleming_nemo.training.progress import quiet


def mine(cfg: RunConfig, engines: Rollouts, items: Sequence[QAItem], policy: str, step: int) -> list[Entry]:
    """`grpo.mining_rollouts` rollouts of every item under the current weights; entries in the order of the items.

    The seeds depend on the run's seed, the step, the item and the number of the rollout alone: a mining that was killed
    and begins again finds the same.
    """
    layout = groups.current()
    mine_items = items[layout.dp_rank :: layout.dp]
    rollouts = range(cfg.grpo.mining_rollouts)
    asked = [(item, [request_seed("mining", cfg.seed, step, item.id, k) for k in rollouts]) for item in mine_items]
    with (
        tqdm(total=len(asked) * len(rollouts), desc=f"{cfg.stage} mining", disable=quiet()) as bar,
        watchdog.phase("mining"),
        stop.nothing_to_save(),
    ):
        played = engines.examiner(bar).play(asked, cfg.rollout.temperature, step)
    counted = [entry(episodes, policy, "mining") for episodes in played]
    by_id = {e.item_id: e for part in groups.gather_over_dp(counted) for e in part}
    return [by_id[item.id] for item in items]
