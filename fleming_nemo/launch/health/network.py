"""Whether the nodes of a job find each other, and how fast they exchange numbers.  Needs torch."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

FLOOR_GB_S = {"nccl": 2.0, "gloo": 0.02}
"""Slowest all-reduce of a healthy pair of nodes, in GB of one rank's data a second: half of what a 40 Gbit/s network
gives, so that a fall-back to an office network or a link with errors shows; over gloo only a network that stalls."""
BYTES = {"nccl": 256 << 20, "gloo": 4 << 20}
MEET_S = 180.0
ROUNDS = 3


class Meeting:
    """The nodes of a job, one process each.  Rank 0 keeps the board on which all write.

    Args:
        environ: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
        node: this node's name.
    """

    def __init__(self, environ: Mapping[str, str], node: str, meet_s: float = MEET_S) -> None:
        self.rank, self.size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
        self._limit_s, self._deadline = meet_s, time.monotonic() + meet_s
        limit = datetime.timedelta(seconds=meet_s)
        host, port = environ["MASTER_ADDR"], int(environ["MASTER_PORT"])
        self._store = dist.TCPStore(host, port, self.size, self.rank == 0, limit, wait_for_workers=False)
        self._store.set(f"node/{self.rank}", node)

    def absent(self) -> list[int]:
        """Ranks that have not come within the time limit; the others wait for rank 0 to say so."""
        if self.rank == 0:
            missing = [rank for rank in range(self.size) if not self._has(f"node/{rank}")]
            self._store.set("absent", json.dumps(missing))
            return missing
        self._store.wait(["absent"], datetime.timedelta(seconds=2 * self._limit_s))
        return json.loads(self._store.get("absent"))

    def gather(self, name: str, mine: Any) -> list[Any]:
        """What every rank has to say, on every rank."""
        self._store.set(f"{name}/{self.rank}", json.dumps(mine))
        return [json.loads(self._store.get(f"{name}/{rank}")) for rank in range(self.size)]

    def leave(self) -> None:
        """The last thing to be called: rank 0, who keeps the board, stays until all others have read it."""
        self._store.set(f"left/{self.rank}", "")
        if self.rank == 0:
            self._store.wait([f"left/{rank}" for rank in range(self.size)], datetime.timedelta(seconds=self._limit_s))

    def speeds(self, backend: str) -> list[float]:
        """All-reduce over all nodes in GB/s, and then between neighbours if that is too slow: [all, 0-1, 1-2, ...]."""
        limit = datetime.timedelta(seconds=self._limit_s)
        store = dist.PrefixStore("reduce", self._store)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=limit)
        try:
            found = [_speed(backend, None)]
            if min(self.gather("speed", found[0])) < FLOOR_GB_S[backend] and self.size > 2:
                for first in range(self.size):
                    pair = [first, (first + 1) % self.size]
                    group = dist.new_group(sorted(pair))
                    mine = _speed(backend, group) if self.rank in pair else None
                    found.append(min(s for s in self.gather(f"pair{first}", mine) if s is not None))
            return found
        finally:
            dist.destroy_process_group()

    def _has(self, key: str) -> bool:
        left_s = max(0.1, self._deadline - time.monotonic())
        try:
            self._store.wait([key], datetime.timedelta(seconds=left_s))
        except dist.DistStoreError:
            return False
        return True


def slow_nodes(speeds: list[float], floor: float) -> list[int]:
    """Ranks to blame for what `Meeting.speeds` found: those with two slow links; of one slow link, both ends."""
    if speeds[0] >= floor:
        return []
    links = [speed < floor for speed in speeds[1:]]
    if not links:
        return [0, 1]
    return [rank for rank in range(len(links)) if links[rank] and links[rank - 1]] or [
        rank for rank in range(len(links)) if links[rank] or links[rank - 1]
    ]


def _speed(backend: str, group: Any) -> float:
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if backend == "nccl" else torch.device("cpu")
    data = torch.ones(BYTES[backend] // 4, device=device)
    seconds = []
    for _ in range(ROUNDS):
        dist.barrier(group=group)
        began = time.perf_counter()
        dist.all_reduce(data, op=dist.ReduceOp.MAX, group=group)
        if backend == "nccl":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return BYTES[backend] / min(seconds) / 1e9
