"""Servers as the engine of all ranks: here one rank, and a backend that answers from its imagination.

Several ranks, trainer layouts and training beside it: tests/distributed/test_served_runs.py.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.backend import Group, Push
from fleming_nemo.rollout.remote import RemoteEngine
from fleming_nemo.rollout.types import Request, Rollout

pytestmark = pytest.mark.usefixtures("one_process")

WANTED = [Group(n, f"item {n}", [Request((n,), 10 * n + k) for k in range(3)]) for n in range(4)]


@dataclass(eq=False)
class Server:
    version: int | None = None


class Backend:
    """Finishes the last request first; each response is its seed."""

    pool = None

    def __init__(self) -> None:
        self.servers = [Server(), Server()]
        self.events: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.die_over = -1
        self.fail: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def open(self, push: Push) -> None:
        self.push, self.loop = push, asyncio.get_running_loop()
        self.calls.append("open")

    async def bring_up(self, version: int) -> None:
        self.calls.append(f"up {version}")
        await self.push(self.servers)

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None],
    ) -> list[Rollout]:
        if self.hold is not None:
            await self.hold.wait()
        if self.fail is not None:
            raise self.fail
        made = [Rollout([r.seed], np.zeros(1, np.float32), True, r.seed, weight_version) for r in requests]
        for index in reversed(range(len(made))):
            if index == self.die_over:
                self.servers[1].version = None
                await self.push([self.servers[1]])
                self.events.append({"event": "server_restarted"})
            finished(index, made[index])
        return made

    async def rest(self) -> None:
        self.calls.append("rest")

    async def close(self) -> None:
        self.calls.append("close")


class Transfer:
    """Notes who got what, how, and in which thread."""

    def __init__(self) -> None:
        self.pushes: list[tuple[int, int, str]] = []
        self.threads: set[str] = set()

    def push(self, servers: Sequence[Server], version: int, pool: Any, mode: str = "wait") -> None:
        for server in servers:
            server.version = version
        self.pushes.append((len(servers), version, mode))
        self.threads.add(threading.current_thread().name)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def transfer() -> Transfer:
    return Transfer()


@pytest.fixture
def remote(backend: Backend, transfer: Transfer) -> Iterator[RemoteEngine]:
    made = RemoteEngine(backend, transfer)
    yield made
    made.close()


def test_groups_come_back_in_order_and_are_kept_once_each_when_whole(remote: RemoteEngine) -> None:
    kept: list[tuple[int, str, list[int]]] = []
    remote.refresh(0)
    drawing = remote.begin(WANTED, 1.0, 8, lambda g, r: kept.append((g.number, g.item, [x.seed for x in r])))
    drawn = remote.finish(drawing)
    assert [[r.seed for r in group] for group in drawn] == [[10 * n + k for k in range(3)] for n in range(4)]
    assert kept == [(n, f"item {n}", [10 * n + k for k in range(3)]) for n in (3, 2, 1, 0)]
    assert remote.seconds > 0


def test_the_same_weights_are_not_sent_twice(remote: RemoteEngine, transfer: Transfer, backend: Backend) -> None:
    for version in (0, 0, 1):
        remote.generate(WANTED[0].requests, 1.0, 8, version)
    assert transfer.pushes == [(2, 0, "wait"), (2, 1, "wait")]
    assert backend.calls == ["open", "up 0", "up 1"] and transfer.threads == {"MainThread"}


def test_after_a_rest_they_are_brought_up_again_and_while_they_draw_there_is_none(
    remote: RemoteEngine, backend: Backend
) -> None:
    remote.refresh(0)
    remote.rest()
    remote.rest()
    remote.refresh(0)
    drawing = remote.begin(WANTED, 1.0, 8)
    remote.rest()
    remote.finish(drawing)
    assert backend.calls == ["open", "up 0", "rest", "up 0"]


@pytest.mark.parametrize("die_over", [0, 5, 11])
def test_a_server_that_was_restarted_in_mid_batch_gets_the_weights(
    die_over: int, remote: RemoteEngine, backend: Backend, transfer: Transfer
) -> None:
    remote.refresh(7)
    backend.die_over = die_over
    drawn = remote.finish(remote.begin(WANTED, 1.0, 8))
    assert [len(group) for group in drawn] == [3] * 4
    assert transfer.pushes == [(2, 7, "wait"), (1, 7, "keep")], "it alone; the others go on"
    assert remote.events() == [{"event": "server_restarted"}] and remote.events() == []


def test_new_weights_in_flight(remote: RemoteEngine, backend: Backend, transfer: Transfer) -> None:
    backend.hold = asyncio.Event()
    remote.refresh(0)
    drawing = remote.begin(WANTED, 1.0, 8)
    remote.refresh(1)
    backend.loop.call_soon_threadsafe(backend.hold.set)
    assert len(remote.finish(drawing)) == 4
    assert transfer.pushes == [(2, 0, "wait"), (2, 1, "keep")]


def test_what_cannot_go_on_is_said_in_the_main_thread(remote: RemoteEngine, backend: Backend) -> None:
    remote.refresh(0)
    backend.fail = UserError("all vLLM servers are gone")
    with pytest.raises(UserError, match="all vLLM servers are gone"):
        remote.finish(remote.begin(WANTED, 1.0, 8))


def test_a_full_disk_ends_the_drawing(remote: RemoteEngine) -> None:
    def keep(group: Group, rollouts: list[Rollout]) -> None:
        raise OSError(28, "No space left on device")

    remote.refresh(0)
    with pytest.raises(OSError, match="No space left"):
        remote.finish(remote.begin(WANTED, 1.0, 8, keep))


def test_what_is_abandoned_ends_with_the_run(backend: Backend, transfer: Transfer) -> None:
    remote = RemoteEngine(backend, transfer)
    backend.hold = asyncio.Event()
    remote.refresh(0)
    remote.abandon(remote.begin(WANTED, 1.0, 8))
    remote.close()
    assert backend.calls[-1] == "close"
    assert not [t for t in threading.enumerate() if t.name == "rollouts"]


def test_nothing_to_draw_asks_no_server(remote: RemoteEngine, backend: Backend) -> None:
    backend.fail = AssertionError("asked")
    remote.refresh(0)
    assert remote.finish(remote.begin([], 1.0, 8)) == []
