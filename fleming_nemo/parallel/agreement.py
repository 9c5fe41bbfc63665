"""What one rank could not do stops all of them, instead of leaving the others to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from fleming_nemo.config.errors import UserError


def gather_over_all(value: Any) -> list[Any]:
    """One small picklable value of every rank of the job, in rank order, on every rank."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def raise_together(problem: Exception | None) -> None:
    """Raise on every rank if any of them has a problem; collective.

    Ranks without one raise that of the first rank that has: a UserError as such, an OSError with its number, anything
    else as a RuntimeError with its text.
    """
    told = problem and (isinstance(problem, UserError), getattr(problem, "errno", None), repr(problem), str(problem))
    everyone = gather_over_all(told)
    if problem is not None:
        raise problem
    for user_error, number, name, text in filter(None, everyone):
        if user_error:
            raise UserError(text)
        raise OSError(number, text) if number is not None else RuntimeError(f"another rank failed: {name}")


def together(action: Callable[[], None], first_only: bool = False) -> None:
    """Do something on all ranks, or on the first, and raise on all of them what went wrong on one; collective.

    Only UserError and OSError are passed on: anything else is a bug and ends the rank where it is.
    """
    problem: Exception | None = None
    if not first_only or dist.get_rank() == 0:
        try:
            action()
        except (UserError, OSError) as error:
            problem = error
    raise_together(problem)
