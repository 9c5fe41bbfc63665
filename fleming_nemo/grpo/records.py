"""What a step leaves behind: its numbers, and every rollout as a row that people can read."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import Outcome, reward
from fleming_nemo.rollout.episodes import Episode


def statistics(episodes_PG: list[list[Episode]], reward_PG: np.ndarray) -> dict[str, float]:
    """Numbers of a step over the rollouts of all ranks."""
    episodes = [e for group in episodes_PG for e in group]
    outcomes = [e.verdict.outcome for e in episodes]
    sums = np.array(
        [
            len(episodes),
            len(reward_PG),
            reward_PG.sum(),
            outcomes.count(Outcome.CORRECT),
            outcomes.count(Outcome.MALFORMED),
            outcomes.count(Outcome.TRUNCATED),
            sum(len(e.rollout.tokens) for e in episodes),
            (np.ptp(reward_PG, axis=1) == 0).sum(),
        ]
    )
    rollouts, prompts, *totals, flat = np.sum(groups.gather_over_dp(sums), axis=0).tolist()
    names = ("reward", "accuracy", "malformed", "truncated", "response_length")
    return {name: total / rollouts for name, total in zip(names, totals, strict=True)} | {
        "zero_variance": flat / prompts
    }


def rollout_rows(episodes_PG: list[list[Episode]], advantage_PG: np.ndarray) -> list[dict[str, Any]]:
    """One row a question of this rank, with its responses (rollouts/step_N.jsonl)."""
    rows = []
    for group, advantage_G in zip(episodes_PG, advantage_PG, strict=True):
        shared = {k: v for k, v in group[0].record().items() if k not in ("response", "outcome", "length")}
        responses = [
            {
                "text": e.text,
                "outcome": str(e.verdict.outcome),
                "reward": reward(e.verdict),
                "advantage": float(a),
                "length": len(e.rollout.tokens),
                "logp_mean": float(e.rollout.logprobs.mean()),
                "weights": e.rollout.versions,
            }
            for e, a in zip(group, advantage_G, strict=True)
        ]
        rows.append(shared | {"responses": responses})
    return rows
