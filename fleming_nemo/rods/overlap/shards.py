"""Chunks of items over several processes: the same chunks in the same order for any number of workers."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from fleming_nemo.config.errors import UserError

Result = TypeVar("Result")
Work = Callable[[int, Sequence[Any]], Result]

CHUNK = 2048
_MOST_LETTERS = 8_000_000
# Set just before the fork: children inherit the items and an index of hundreds of megabytes instead of receiving them.
_job: tuple[Work[Any], Sequence[Any], list[tuple[int, int]]] | None = None


def _bounds(items: Sequence[Any]) -> list[tuple[int, int]]:
    """Chunks of 2,048 items, shorter ones where items are so long that a chunk would not fit in memory."""
    bounds: list[tuple[int, int]] = []
    low, letters = 0, 0
    for at, item in enumerate(items):
        size = len(item.question) + len(item.context or "")
        if at > low and (at - low == CHUNK or letters + size > _MOST_LETTERS):
            bounds.append((low, at))
            low, letters = at, 0
        letters += size
    return [*bounds, (low, len(items))] if len(items) else []


def _run(number: int) -> Any:
    assert _job is not None
    work, items, bounds = _job
    low, high = bounds[number]
    return work(low, items[low:high])


def map_chunks(work: Work[Result], items: Sequence[Any], workers: int, title: str) -> list[Result]:
    """work(position of the first item, items of the chunk) for every chunk, in order.

    Raises UserError for fewer than one worker; an exception in `work` comes out as it is.
    """
    if workers < 1:
        raise UserError(f"{workers} workers: give at least one.")
    bounds = _bounds(items)
    bar = {"desc": title, "unit": "chunk", "total": len(bounds), "disable": not sys.stderr.isatty()}
    workers = min(workers, len(bounds), os.cpu_count() or 1)
    if workers <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        return [work(low, items[low:high]) for low, high in tqdm(bounds, **bar)]
    return list(tqdm(_forked(work, items, bounds, workers), **bar))


def _forked(work: Work[Result], items: Sequence[Any], bounds: list[tuple[int, int]], workers: int) -> Iterator[Result]:
    global _job
    _job = (work, items, bounds)
    try:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            yield from pool.imap(_run, range(len(bounds)))
    finally:
        _job = None
