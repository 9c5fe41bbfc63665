"""Runs on real vLLM servers, and what kills these."""

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import torch
import work

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.rollout import servers
from fleming_nemo.rollout.bank import Bank
from fleming_nemo.rollout.vllm.pool import Pool

NOT_AGAIN = "not_again"
"""A file beside the engine's Python: while it is there, no server starts."""


def python_that_can_be_stopped(folder: Path, python: str) -> str:
    """An engine's Python that ends at once where the file `NOT_AGAIN` is beside it; else it is `python`."""
    made = folder / "python"
    made.write_text(f'#!/bin/sh\n[ -e "{folder / NOT_AGAIN}" ] && exit 3\nexec "{python}" "$@"\n')
    made.chmod(0o755)
    return str(made)


def run(cfg: RunConfig, python: str, one_dies_in: int = -1, all_die_in: int = -1) -> dict[str, Any]:
    """`work.whole_run` on servers of its own.

    Args:
        one_dies_in: step (from 0) in whose batch the first server gets a kill -9, once a question of it is banked.
        all_die_in: step in which all do, and cannot be started again.
    """
    os.environ["FLEMING_VLLM_PYTHON"] = python
    pools: list[Pool] = []
    add, pool = Bank.add, servers.pool

    def remember(*arguments: Any) -> Pool:
        pools.append(pool(*arguments))
        return pools[-1]

    def add_and_kill(self: Bank, step: int, policy: str, groups: Any) -> None:
        nonlocal one_dies_in
        add(self, step, policy, groups)
        if step == all_die_in:
            (Path(python).parent / NOT_AGAIN).touch()
            _kill(pools[0], 2)
        elif step == one_dies_in:
            one_dies_in = -1
            _kill(pools[0], 1)

    with mock.patch.object(servers, "pool", remember), mock.patch.object(Bank, "add", add_and_kill):
        try:
            return work.whole_run(cfg)
        except UserError as error:
            told: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(told, str(error))
            return {"refused": told}


def _kill(pool: Pool, count: int) -> None:
    for server in pool.servers[:count]:
        keeper = psutil.Process(pool._origin._processes[server.name].pid)  # type: ignore[attr-defined]
        for process in keeper.children(recursive=True):
            os.kill(process.pid, signal.SIGKILL)
