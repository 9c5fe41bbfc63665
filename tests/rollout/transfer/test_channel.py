"""Waiting for an operation of the group: what it is that ends a wait, and what does not."""

import datetime
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from fleming_nemo.rollout.vllm.worker.fleming_transfer import channel
from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import Channel, Meeting

CPU = torch.device("cpu")


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """A group of two: the trainer's end and a worker's."""
    listener = channel.listen("127.0.0.1")
    address, port = listener.getsockname()
    meeting = Meeting("gloo", address, port, name="waiting", world=2, timeout_s=20)
    with ThreadPoolExecutor(1) as threads:
        joining = threads.submit(Channel, meeting, 1, CPU)
        trainer, worker = Channel(meeting, 0, CPU, listener), joining.result()
    yield trainer, worker
    trainer.close()
    worker.close()


class Interrupted:
    """An operation that ends after the time of the first look at it is up, and before it is asked whether it has."""

    def __init__(self, work: Any, go_on: Callable[[], None]) -> None:
        self._work, self._go_on = work, go_on

    def wait(self, *limit: datetime.timedelta) -> None:
        try:
            self._work.wait(*limit)
        except RuntimeError:
            self._go_on()
            raise

    def is_completed(self) -> bool:
        return bool(self._work.is_completed())


def test_an_operation_that_ends_just_after_a_look_has_not_failed(ends: tuple[Channel, Channel]) -> None:
    trainer, worker = ends
    sent, received = torch.arange(1000.0), torch.zeros(1000)
    arriving = worker.broadcast(received)

    def go_on() -> None:
        trainer.wait(trainer.broadcast(sent))
        arriving.wait()

    looks: list[None] = []
    worker.wait(Interrupted(arriving, go_on), lambda: looks.append(None))
    assert torch.equal(received, sent) and not looks


def test_the_trainers_leaving_ends_a_wait(ends: tuple[Channel, Channel]) -> None:
    trainer, worker = ends
    arriving = worker.broadcast(torch.zeros(1000))
    trainer.close()
    with pytest.raises(RuntimeError, match="has ended this transfer"):
        worker.wait(arriving)


def test_a_look_may_end_a_wait(ends: tuple[Channel, Channel]) -> None:
    _, worker = ends

    def pointless() -> None:
        raise KeyError("no use")

    with pytest.raises(KeyError):
        worker.wait(worker.broadcast(torch.zeros(1000)), pointless)
