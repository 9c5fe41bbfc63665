"""Run asynchronous work that asks an endpoint, from a plain loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from fleming_nemo.endpoint.exchange import Client
from fleming_nemo.endpoint.panel import Panel
from fleming_nemo.endpoint.spec import Budget, Endpoint

T = TypeVar("T")
R = TypeVar("R")


def serve(
    endpoint: Endpoint,
    cache_folder: Path,
    budget: Budget,
    work: Iterable[T],
    one: Callable[[Client, T], Awaitable[R]],
    panel: Panel | None = None,
) -> Iterator[R]:
    """Results of `one` for every piece of `work`, in order; a bounded number of pieces is in memory."""
    raise NotImplementedError
