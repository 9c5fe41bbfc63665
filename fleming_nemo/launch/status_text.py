"""`fleming status` in words."""

from __future__ import annotations

import time

from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.status import Status


def render(status: Status) -> str:
    """A few lines: the state, the numbers of the last step, and one line for each attempt with the cause of its end."""
    of = f" of {status.steps}" if status.steps else ""
    phase = f", {status.phase}" if status.phase else ""
    lines = [f"{status.run}: {status.state}, step {status.step}{of}{phase}" + _in_words(status.detail)]
    numbers = [f"{name} {value:.4g}" for name, value in status.score.items()]
    if status.tokens_per_second is not None:
        numbers.append(f"{status.tokens_per_second:,.0f} tokens/s")
    if status.step_seconds is not None:
        numbers.append(f"{status.step_seconds:.3g} s a step")
    if status.eta_s is not None:
        numbers.append(f"about {_span(status.eta_s)} left")
    if status.silent_s is not None:
        numbers.append(f"last heartbeat {_span(status.silent_s)} ago")
    if numbers:
        lines.append("  " + ", ".join(numbers))
    return "\n".join([*lines, *(_attempt(row, status.state == "running") for row in status.attempts)])


def _attempt(row: Attempt, running: bool) -> str:
    where = f"job {row.job}" + (f".{row.restart}" if row.restart else "") if row.job else row.host
    began = time.strftime("%m-%d %H:%M:%S", time.localtime(row.start))
    took = _span(row.end - row.start) if row.end is not None else "..."
    steps = ""
    if row.last_step is not None and row.cause is not None:
        first = min(row.first_step + 1, row.last_step)
        steps = f" to step {row.last_step}" if row.last_step <= row.first_step else f" steps {first}-{row.last_step}"
    open_end = "goes on" if running else "no end on record"
    ended = f"{row.cause}{_in_words(row.told)}" if row.cause else open_end
    return f"  attempt {row.number}, {where}, {began}, {took}{steps}: {ended}"


def _in_words(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _span(seconds: float) -> str:
    """A length of time as one would say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
