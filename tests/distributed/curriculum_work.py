"""Runs of the curriculum that die where it matters: in a mining, and at the step that ends stage 1."""

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import work

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo import ledger
from fleming_nemo.grpo.curriculum import mining, switch
from fleming_nemo.grpo.ledger import Entry
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.training.checkpoint import Checkpoints

AT_THE_END = -1
"""Instead of a step: when stage 1 has ended by itself and the checkpoint of that is about to be saved."""


def whole_run(
    cfg: RunConfig, kill_after: int | None = None, kill_in_mining_of: str = "", window: int = 5
) -> dict[str, Any]:
    """`work.whole_run` with a switch that looks at a few steps; kills all ranks in the middle of a mining, if asked.

    Args:
        kill_in_mining_of: name of the policy whose mining is not survived.
        window: steps that the switch looks at.
    """
    counted = 0

    def entry(episodes: Sequence[Episode], policy: str, round_name: ledger.Round) -> Entry:
        nonlocal counted
        counted += policy == kill_in_mining_of
        if counted == 2:
            die()
        return ledger.entry(episodes, policy, round_name)

    save = Checkpoints.save

    def save_or_die(self: Checkpoints, step: int, state: dict[str, Any], score: float | None = None) -> None:
        if kill_after == AT_THE_END and state["curriculum"]["switch"]["reached"]:
            die()
        save(self, step, state, score)

    patches = [
        mock.patch.object(switch, "WINDOW", window),
        mock.patch.object(switch, "SPARSE_ABOVE", 0.1),
        mock.patch.object(mining, "entry", entry),
        mock.patch.object(Checkpoints, "save", save_or_die),
    ]
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        return work.whole_run(cfg, kill_after)


def die() -> None:
    """All ranks at once, without a last word."""
    groups.barrier()
    os.kill(os.getpid(), signal.SIGKILL)
