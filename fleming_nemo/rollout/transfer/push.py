"""Give servers the weights that the trainer has now.

    transfer = Transfer(engine, backend="gloo")
    report = transfer.push(servers, version=step, pool=pool)        # on every rank; servers and pool None on others

Before anything changes in a server its `version` becomes None, and it becomes `version` only when every worker has
verified all of it and says that it holds it.  A server that does not come as far stays paused and without a version:
whoever wants to generate with it has to push again, or to restart it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.transfer.compare import largest_difference
from fleming_nemo.rollout.transfer.control import Control
from fleming_nemo.rollout.transfer.lead import Leader, Report
from fleming_nemo.rollout.transfer.shards import Shards, command
from fleming_nemo.rollout.transfer.sources import device_of
from fleming_nemo.rollout.transfer.stream import DEPTH
from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import BACKENDS
from fleming_nemo.training.engine import Engine

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.pool import Pool
    from fleming_nemo.rollout.vllm.server import Server

__all__ = ["Report", "Transfer"]

BUCKET_BYTES = 32 << 20
"""Five or six of them are all the memory that a transfer needs on rank 0."""
TIMEOUT_S = 120.0
"""A server that does nothing for this long, in a group whose every operation moves one bucket, is given up."""


class Transfer:
    """The trainer's side; made once, on every rank together.

    Args:
        backend: gloo where trainer or servers compute on CPUs; nccl for GPUs of their own; ipc for processes that share
            the GPUs (or, without any, the memory) of one node; none: for servers beside the trainer, ipc where that is
            possible, otherwise gloo.
        changes: send only what has changed since the last push, to servers that hold what was sent then.  Every rank
            keeps a copy of its part of the weights in the CPU's memory, every worker of a server one of the whole.

    Attributes:
        backend: the one that rank 0 sends by.

    Raises:
        UserError: there is no such backend, or not for this trainer.
    """

    def __init__(
        self,
        engine: Engine,
        backend: str | None = None,
        bucket_bytes: int = BUCKET_BYTES,
        timeout_s: float = TIMEOUT_S,
        changes: bool = False,
    ) -> None:
        networks = engine.networks
        device = device_of(networks)
        if backend is not None and backend not in BACKENDS:
            raise UserError(f"there is no transfer backend {backend!r}; choose one of {', '.join(BACKENDS)}")
        if backend in ("gloo", "nccl") and device.type != ("cuda" if backend == "nccl" else "cpu"):
            raise UserError(f"the transfer backend {backend} does not send from a {device.type}; choose another")
        self._engine, self._timeout_s = engine, timeout_s
        self.shards = Shards(networks, engine.shape, bucket_bytes, DEPTH + (backend in ("ipc", None)), changes)
        shares = self.shards.stream.shares or device.type == "cuda"
        self.backend = backend or ("ipc" if shares else "gloo")
        if self.backend == "ipc" and not shares:
            raise UserError("ipc needs all ranks of the trainer on one node with room in /dev/shm; use gloo")
        self._leader = Leader(self.shards, self.backend, device, timeout_s)

    def push(self, servers: list[Server] | None, version: int, pool: Pool | None, mode: str = "wait") -> Report:
        """Collective over all ranks; rank 0 names the servers. With mode `keep` their requests go on afterwards.

        Servers that do not answer are left out, and the push is repeated for the others: look at `Report.lost`.

        Raises:
            UserError: the servers are there, but cannot take the weights.
        """
        dist.barrier()  # nobody is waited for while servers wait already
        self._engine.networks  # noqa: B018 (all ranks wait for parameters that are still on their way)
        self.shards.begin()
        if groups.rank():
            said = self.shards.follow()
            if isinstance(said, Exception):
                raise said
            assert isinstance(said, Report)
            return said
        assert servers is not None and pool is not None
        begun = time.monotonic()
        report = Report()
        control = Control(pool, timeout_s=10 * self._timeout_s)
        try:
            self._leader.push(servers, version, mode, control, report)
        except BaseException as error:
            command(error if isinstance(error, UserError) else UserError(f"rank 0 failed to send weights: {error}"))
            raise
        report.seconds = time.monotonic() - begun
        report.requests_per_server = max(control.requests.values(), default=0)
        command(report)
        return report

    def compare(self, sequences: Sequence[Sequence[int]], servers: list[Server] | None, pool: Pool | None) -> float:
        """Largest difference of a token's log-probability, in nats, between trainer and servers. Collective."""
        return largest_difference(self._engine, sequences, servers, pool)

    def close(self) -> None:
        """Leave the group and give the buffers back."""
        self._leader.leave()
        self.shards.stream.close()
