"""Seconds of each phase of a step, for the log line; the watchdog hears of every phase as well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleming_nemo.training import watchdog


class Phases:
    """The phases of one step: `with phases("generate"): ...`; a phase may be entered more than once.

    Attributes:
        seconds: by name, in the order of first entry.
    """

    def __init__(self, step: int) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()
        watchdog.beat(step, "start")

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        watchdog.beat(phase=name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def total(self) -> float:
        """Seconds since the step began, what lies between phases included."""
        return time.perf_counter() - self._began

    def row(self) -> dict[str, float]:
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}
