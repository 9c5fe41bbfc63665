"""Where the seconds of a weight transfer go: the wall clock of its stages in each process, and the CPU time of each."""

from __future__ import annotations

import functools
import resource
import time
from collections import defaultdict
from typing import Any


class Stages:
    """Seconds of this process's main work between two calls of `take`, by stage; stages do not contain each other.

    Args:
        functions: owner, name and stage of what is to be timed.
    """

    def __init__(self, functions: list[tuple[Any, str, str]]) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._begun, self._cpu = time.perf_counter(), cpu_seconds()
        for owner, name, stage in functions:
            setattr(owner, name, self._timed(getattr(owner, name), stage))

    def _timed(self, function: Any, stage: str) -> Any:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._seconds[stage] += time.perf_counter() - begun

        return timed

    def start(self) -> None:
        self._seconds.clear()
        self._begun, self._cpu = time.perf_counter(), cpu_seconds()

    def take(self) -> dict[str, float]:
        """Stages since `start`, the rest of the wall clock, and the CPU time of all threads (gloo's included)."""
        wall = time.perf_counter() - self._begun
        found = dict(self._seconds)
        found["rest"] = wall - sum(found.values())
        found["CPU"] = cpu_seconds() - self._cpu
        return found


def cpu_seconds() -> float:
    """Of all threads of this process, in user and kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def of_trainer() -> Stages:
    from fleming_nemo.rollout.transfer.session import Sending
    from fleming_nemo.rollout.transfer.sources import Sources
    from fleming_nemo.rollout.transfer.stream import Stream

    return Stages(
        [
            (Sources, "fill", "fill"),
            (Sending, "seal", "checksum"),
            (Sending, "drained", "wait for the network"),
            (Stream, "_end_vote", "wait for the other rank"),
        ]
    )


def of_receiver() -> Stages:
    from fleming_nemo.rollout.vllm.worker.fleming_transfer import buckets
    from fleming_nemo.rollout.vllm.worker.fleming_transfer.buckets import Incoming, Leases
    from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import Channel

    return Stages(
        [
            (buckets, "check_seal", "checksum"),
            (Channel, "wait", "wait for the network"),
            (Incoming, "_tensors", "unpack"),
            (Leases, "take", "memory"),
        ]
    )
