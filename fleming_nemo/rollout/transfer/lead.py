"""Rank 0's part of a push: which servers take part, what they are sent, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.transfer import shards as orders
from fleming_nemo.rollout.transfer.control import Control, outcome, outcomes
from fleming_nemo.rollout.transfer.session import BrokenOff, Sending, ServersFailed, Session, members_of
from fleming_nemo.rollout.transfer.shards import Shards

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.server import Server

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
        changes: whether only changes were sent.
    """

    bytes: int = 0
    seconds: float = 0.0
    requests_per_server: int = 0
    updated: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    changes: bool = False


class Leader:
    """Keeps the group with the servers from one push to the next, while they stay the same."""

    def __init__(self, shards: Shards, backend: str, device: torch.device, timeout_s: float) -> None:
        self._shards, self._backend, self._device, self._timeout_s = shards, backend, device, timeout_s
        self.session: Session | None = None

    def push(self, servers: list[Server], version: int, mode: str, control: Control, report: Report) -> None:
        """Repeat until all servers that are left hold the version.

        Raises:
            UserError: they are there, but cannot take it.
        """
        left, fruitless = list(servers), 0
        held = {server: server.version for server in servers}
        for server in servers:
            server.version = None
        _lose(_errors(outcomes(left, lambda server: control.pause(server, mode))), left, report)
        while left:
            report.attempts += 1
            report.changes = self._look_for_changes({held[server] for server in left}, version)
            lost, refused = self._attempt(left, held, version, control, report.changes)
            _lose(lost, left, report)
            if not lost and not refused:
                break
            fruitless = 0 if lost else fruitless + 1
            if fruitless == MOST_ATTEMPTS:
                told = "; ".join(f"{server.address.url}: {why}" for server, why in refused.items())
                raise UserError(f"the servers cannot take the weights ({told}); see their logs, and restart them")
            held = dict.fromkeys(held)  # whatever they hold, all of it is sent again
        for ask in (lambda server: control.label(server, version), control.resume):
            _lose(_errors(outcomes(left, ask)), left, report)
        for server in left:
            server.version = version
            report.updated.append(server.name)
        if left:
            report.bytes = self._plan(report.changes).nbytes
            self._shards.order(orders.REMEMBER, version)

    def leave(self) -> None:
        """End the group; on the servers' side, too."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _look_for_changes(self, held: set[int | None], version: int) -> bool:
        """Whether these servers hold what was sent last, and little has changed since."""
        shards = self._shards
        if shards.kept is None or None in held or held != {shards.kept.version}:
            return False
        shards.order(orders.FIND_CHANGES, version)
        return shards.worth_sending()

    def _plan(self, changes: bool) -> Any:
        return self._shards.changes.plan if changes and self._shards.changes is not None else self._shards.plan

    def _attempt(
        self, servers: list[Server], held: dict[Server, int | None], version: int, control: Control, changes: bool
    ) -> tuple[dict[Server, Exception], dict[Server, str]]:
        """Send everything once; which servers are lost, and which live but could not take it."""
        try:
            session = self._meet(servers, control)
        except ServersFailed as failed:
            # a reply, even of an error, is a sign of life: perhaps another one did not come
            refused = {server: str(error) for server, error in failed.errors.items() if hasattr(error, "status")}
            return {server: error for server, error in failed.errors.items() if server not in refused}, refused
        shards = self._shards
        announced = shards.changes.announce() if changes and shards.changes is not None else shards.plan.announce()
        announced |= {"to": version, "keep": shards.kept is not None}
        updates = {server: control.update(server, announced | {"from": held[server]}) for server in servers}
        sending = Sending(session, updates)
        try:
            sending.begin()
            shards.order(orders.SEND_CHANGES if changes else orders.SEND_ALL, version, sending)
        except BrokenOff:
            self.leave()  # so that the others do not wait for what will not come
        lost: dict[Server, Exception] = {}
        refused = {}
        for server, future in updates.items():
            answer = outcome(future, self._timeout_s)  # all has been sent, or nothing more will come
            if isinstance(answer, Exception):
                lost[server] = answer
                if not future.done():
                    control.give_up(server, f"no answer to an update of weights in {self._timeout_s:g} s")
                    future.cancel()
            elif (why := _complaint(answer, server.address.world, version, sending.digest)) is not None:
                refused[server] = why
        if lost or refused:
            self.leave()
        return lost, refused

    def _meet(self, servers: list[Server], control: Control) -> Session:
        if self.session is not None and self.session.members != members_of(servers):
            self.leave()
        if self.session is None:
            stream = self._shards.stream
            self.session = Session(
                servers, control, self._backend, self._device, stream.buffers, stream.descriptors, self._timeout_s
            )
        return self.session


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


def _lose(errors: dict[Server, Exception], left: list[Server], report: Report) -> None:
    for server, error in errors.items():
        left.remove(server)
        report.lost[server.name] = str(error) or type(error).__name__


def _errors(found: dict[Server, Any]) -> dict[Server, Exception]:
    return {server: answer for server, answer in found.items() if isinstance(answer, Exception)}
