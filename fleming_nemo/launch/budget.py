"""How often a run is started again by itself before a person has to look at it."""

from __future__ import annotations

from collections.abc import Sequence

from fleming_nemo.launch import attempts
from fleming_nemo.launch.attempts import Attempt

NO_PROGRESS = 3
"""Faults in a row without a step beyond those that the run had been through before."""

IN_ALL = 10
"""Faults of one submission, whatever came between them: one in each hundred steps is a bug, too."""


def used_up(rows: Sequence[Attempt]) -> str | None:
    """Why a run should not be started again by itself; None while it may.

    Preemptions, failed nodes and requests to stop are free.  A time limit counts where not one step fits into it.
    Counting begins anew where a person submitted the run again.
    """
    begins = max((n for n, row in enumerate(rows) if row.fresh), default=0)
    counted = [row for row in rows[begins:] if row.cause is not None]
    if not counted:
        return None
    last, furthest, idle, faults = counted[-1], counted[0].first_step, 0, 0
    for row in counted:
        reached = max(row.first_step, row.last_step or 0)
        idle = 0 if reached > furthest else idle + (row.cause in attempts.FAULTS or row.cause == attempts.TIME)
        faults += row.cause in attempts.FAULTS
        furthest = max(furthest, reached)
    if last.cause == attempts.USER:
        return f"{last.told}; repair that and submit the run again"
    if idle >= NO_PROGRESS:
        return (
            f"{idle} attempts in a row brought no step beyond step {furthest}, the last one for: {last.cause} "
            f"({last.told}); repair the cause, see {last.logs}, and submit the run again"
        )
    if faults >= IN_ALL:
        return (
            f"{faults} attempts of this submission ended by a fault, the last one for: {last.cause} ({last.told}); "
            f"see {last.logs}, and submit the run again"
        )
    return None
