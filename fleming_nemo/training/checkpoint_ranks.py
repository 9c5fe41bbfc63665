"""What ranks say to each other about files: a value of each, or rank 0's, and errors that all of them then raise.

An error of one rank alone would leave the others waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def everyone(mine: T) -> list[T]:
    """What each rank has, in rank order."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, mine)
    return values


def everyone_or_error(action: Callable[[], T]) -> list[T]:
    """What `action` returns on each rank; the OSError of one is raised on all."""
    mine: Any
    try:
        mine = action()
    except OSError as error:
        mine = error
    results = everyone(mine)
    _raise_first(results)
    return results


def on_first(action: Callable[[], T]) -> T:
    """What `action` returns on rank 0, which alone runs it; its OSError is raised on all."""
    result: list[Any] = [None]
    if dist.get_rank() == 0:
        try:
            result[0] = action()
        except OSError as error:
            result[0] = error
    dist.broadcast_object_list(result, 0)
    _raise_first(result)
    return result[0]


def _raise_first(results: list[Any]) -> None:
    for result in results:
        if isinstance(result, OSError):
            raise result
