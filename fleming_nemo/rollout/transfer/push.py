"""Give servers the weights that the trainer has now.

    transfer = Transfer(engine, backend="gloo")
    report = transfer.push(servers, version=step, pool=pool)        # on every rank; servers and pool None on others

Before anything changes in a server its `version` becomes None, and it becomes `version` only when every worker has
verified all of it and says that it holds it.  A server that does not come as far stays paused and without a version:
whoever wants to generate with it has to push again, or to restart it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.transfer.control import Control, outcome, outcomes
from fleming_nemo.rollout.transfer.session import BrokenOff, Sending, ServersFailed, Session, members_of
from fleming_nemo.rollout.transfer.sources import Sources, device_of
from fleming_nemo.rollout.transfer.stream import Stopped, Stream
from fleming_nemo.rollout.vllm.worker.fleming_transfer import wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import BACKENDS
from fleming_nemo.training.engine import Engine

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.pool import Pool
    from fleming_nemo.rollout.vllm.server import Server

BUCKET_BYTES = 64 << 20
"""What is on its way at a time; three of them are all the memory that a transfer needs."""
TIMEOUT_S = 120.0
"""A server that does nothing for this long, in a group whose every operation moves one bucket, is given up."""
MOST_ATTEMPTS = 3
"""In a row in which no server was lost: what fails for another reason will fail again."""


@dataclass
class Report:
    """What a push did; the same on all ranks.

    Attributes:
        bytes: sent to each server, once.
        seconds: from the first request to the last answer.
        requests_per_server: most control requests that one server got, a new group's included.
        updated: names of the servers that hold the version now.
        lost: names of those that do not, and why.
        attempts: transfers begun; more than one where a server broke one off.
    """

    bytes: int = 0
    seconds: float = 0.0
    requests_per_server: int = 0
    updated: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    attempts: int = 0


class Transfer:
    """The trainer's side; made once, on every rank together.

    Args:
        backend: gloo where trainer or servers compute on CPUs; nccl for GPUs of their own; ipc for processes that share
            the GPUs (or, without any, the memory) of one node.

    Raises:
        UserError: there is no such backend, or not for this trainer.
    """

    def __init__(
        self, engine: Engine, backend: str = "gloo", bucket_bytes: int = BUCKET_BYTES, timeout_s: float = TIMEOUT_S
    ) -> None:
        networks = engine.networks
        self._engine, self._backend, self._timeout_s = engine, backend, timeout_s
        self._device = device_of(networks)
        if backend not in BACKENDS:
            raise UserError(f"there is no transfer backend {backend!r}; choose one of {', '.join(BACKENDS)}")
        if self._device.type != ("cuda" if backend == "nccl" else "cpu") and backend != "ipc":
            raise UserError(f"the transfer backend {backend} does not send from a {self._device.type}; choose another")
        origin = Sources(networks, engine.shape)
        self.plan = wire.plan(origin.entries, bucket_bytes)
        self.stream = Stream(networks, origin, self.plan, depth=4 if backend == "ipc" else 3)
        if backend == "ipc" and not (self.stream.shares or self._device.type == "cuda"):
            raise UserError("ipc needs all ranks of the trainer on one node with room in /dev/shm; use gloo")
        self._session: Session | None = None

    def push(self, servers: list[Server] | None, version: int, pool: Pool | None, mode: str = "wait") -> Report:
        """Collective over all ranks; rank 0 names the servers. With mode `keep` their requests go on afterwards.

        Servers that do not answer are left out, and the push is repeated for the others.

        Raises:
            UserError: the servers are there, but cannot take the weights.
        """
        dist.barrier()  # nobody is waited for while servers wait already
        self._engine.networks  # noqa: B018 (all ranks wait for parameters that are still on their way)
        if groups.rank():
            return self._follow()
        assert servers is not None and pool is not None
        begun = time.monotonic()
        report = Report()
        control = Control(pool, timeout_s=10 * self._timeout_s)
        try:
            self._lead(servers, version, mode, control, report)
        except BaseException as error:
            _command(error if isinstance(error, UserError) else UserError(f"rank 0 failed to send weights: {error}"))
            raise
        report.seconds = time.monotonic() - begun
        report.requests_per_server = max(control.requests.values(), default=0)
        _command(report)
        return report

    def close(self) -> None:
        """Leave the group and give the buffers back."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self.stream.close()

    def _follow(self) -> Report:
        while True:
            order = _command(None)
            if isinstance(order, Report):
                return order
            if isinstance(order, Exception):
                raise order
            try:
                self.stream.run(None)
            except Stopped:
                continue

    def _lead(self, servers: list[Server], version: int, mode: str, control: Control, report: Report) -> None:
        """Repeat until all servers that are left hold the version."""
        left, fruitless = list(servers), 0
        held = {server: server.version for server in servers}
        for server in servers:
            server.version = None
        self._lose(_errors(outcomes(left, lambda server: control.pause(server, mode))), left, report)
        while left:
            report.attempts += 1
            lost, refused = self._attempt(left, held, version, control)
            self._lose(lost, left, report)
            if not lost and not refused:
                break
            fruitless = 0 if lost else fruitless + 1
            if fruitless == MOST_ATTEMPTS:
                told = "; ".join(f"{server.address.url}: {why}" for server, why in refused.items())
                raise UserError(f"the servers cannot take the weights ({told}); see their logs, and restart them")
            held = dict.fromkeys(held)  # whatever they hold, all of it is sent again
        for ask in (lambda server: control.label(server, version), control.resume):
            self._lose(_errors(outcomes(left, ask)), left, report)
        for server in left:
            server.version = version
            report.updated.append(server.name)
        report.bytes = self.plan.nbytes if left else 0

    def _lose(self, errors: dict[Server, Exception], left: list[Server], report: Report) -> None:
        for server, error in errors.items():
            left.remove(server)
            report.lost[server.name] = str(error)

    def _attempt(
        self, servers: list[Server], held: dict[Server, int | None], version: int, control: Control
    ) -> tuple[dict[Server, Exception], dict[Server, str]]:
        """Send everything once; which servers are lost, and which live but could not take it."""
        try:
            session = self._meet(servers, control)
        except ServersFailed as failed:
            # a reply, even of an error, is a sign of life: perhaps another one did not come
            refused = {server: str(error) for server, error in failed.errors.items() if hasattr(error, "status")}
            return {server: error for server, error in failed.errors.items() if server not in refused}, refused
        info = self.plan.announce() | {"to": version}
        updates = {server: control.update(server, info | {"from": held[server]}) for server in servers}
        sending = Sending(session, updates)
        try:
            sending.begin()
            _command("send")
            self.stream.run(sending)
        except BrokenOff:
            self._leave()  # so that the others do not wait for what will not come
        lost: dict[Server, Exception] = {}
        refused = {}
        for server, future in updates.items():
            answer = outcome(future)
            if isinstance(answer, Exception):
                lost[server] = answer
            elif (why := _complaint(answer, server.address.world, version, sending.digest)) is not None:
                refused[server] = why
        if lost or refused:
            self._leave()
        return lost, refused

    def _meet(self, servers: list[Server], control: Control) -> Session:
        if self._session is not None and self._session.members != members_of(servers):
            self._leave()
        if self._session is None:
            stream = self.stream
            self._session = Session(
                servers, control, self._backend, self._device, stream.buffers, stream.descriptors, self._timeout_s
            )
        return self._session

    def _leave(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _complaint(answer: Any, world: int, version: int, digest: int) -> str | None:
    """Why a server's answer is not that all its workers hold the version; None if it is."""
    reports = answer.get("results", []) if isinstance(answer, dict) else []
    for report in reports:
        if report["error"] is not None:
            return str(report["error"])
    if len(reports) != world:
        return f"{len(reports)} of {world} workers answered"
    if any((report["held"], report["digest"]) != (version, digest) for report in reports):
        return f"its workers hold {reports}, not version {version} of digest {digest}"
    return None


def _errors(found: dict[Server, Any]) -> dict[Server, Exception]:
    return {server: answer for server, answer in found.items() if isinstance(answer, Exception)}


def _command(order: Any) -> Any:
    """What rank 0 tells all ranks to do next."""
    box = [order]
    dist.broadcast_object_list(box, 0)
    return box[0]
