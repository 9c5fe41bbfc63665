"""What ranks tell each other, and errors of one that stop all of them instead of leaving the others to wait for it.

Everything here is collective.  UserError and OSError are passed on; anything else is a bug and ends the rank
where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from fleming_nemo.config.errors import UserError

T = TypeVar("T")
_PASSED_ON = (UserError, OSError)


def everyone(mine: T) -> list[T]:
    """One small picklable value of every rank of the job, in rank order, on every rank."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, mine)
    return values


def everyone_or_error(action: Callable[[], T]) -> list[T]:
    """What `action` returns on each rank; an error of one is raised on all."""
    mine = _attempt(action)
    results = everyone(mine)
    _raise_first([mine, *results])  # a rank's own error first, with its traceback
    return results


def on_first(action: Callable[[], T]) -> T:
    """What `action` returns on rank 0, which alone runs it; its error is raised on all."""
    result: list[Any] = [_attempt(action) if dist.get_rank() == 0 else None]
    own = result[0]
    dist.broadcast_object_list(result, 0)
    _raise_first([own, *result])
    return result[0]


def raise_together(problem: Exception | None) -> None:
    """Raise on every rank if any of them has a problem: its own, or that of the first rank that has one."""
    _raise_first([problem, *everyone(problem)])


def _attempt(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except _PASSED_ON as error:
        return error


def _raise_first(results: list[Any]) -> None:
    for result in results:
        if isinstance(result, _PASSED_ON):
            raise result
