"""Requests to stop: a signal sets a flag, the ranks agree on it between two steps, save together and leave.

The signal may come from Slurm to one node only, and in the middle of a collective operation or of a save; so nothing is
done about it where it arrives.  `agreed` is called at places where every rank is, and where the run can be saved or has
nothing to lose.  A file `STOP` in the run directory asks for the same without a signal.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STOPPED = 85
"""Exit code of ranks that were asked to stop: the run is saved, and the same command goes on with it."""

STOP = "STOP"
"""Name of the file in a run directory that asks the run to save and stop, and not to be started again."""

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
_LOOK_EVERY_S = 5.0
"""A shared file system is not asked for the file after each of many short steps."""

_asked: str | None = None
_looked = 0.0
_nothing_to_save = False


class Stopped(Exception):
    """The run was asked to stop and left where nothing is lost."""

    def __init__(self, why: str, step: int | None = None) -> None:
        """`why`: what `agreed` said; `step`: the run was saved after that many."""
        saved = f"saved after step {step}" if step is not None else "nothing had to be saved"
        super().__init__(f"asked to stop by {why}: {saved}; the same command goes on from there")


def heed() -> None:
    """From now on SIGUSR1, SIGUSR2 and SIGTERM ask this process to stop instead of ending it.

    To be called before imports that take seconds: a signal that comes earlier ends the process.
    """
    for number in SIGNALS:
        signal.signal(number, _ask)


def asked() -> str | None:
    """What asked this very process to stop, None if nothing did; the other ranks may know nothing of it."""
    return _asked


def agreed(run_dir: Path) -> str | None:
    """What asked any rank of the run to stop: the same answer on all of them.  Collective.

    One all-reduce of a number; rank 0 also looks for the file, every few seconds.
    """
    import torch
    import torch.distributed as dist

    from fleming_nemo.parallel import groups

    global _asked, _looked
    if groups.rank() == 0 and time.monotonic() - _looked > _LOOK_EVERY_S:
        _looked = time.monotonic()
        if (run_dir / STOP).exists():
            _asked = STOP
    mine = 0 if _asked is None else _WORDS.index(_asked) + 1
    highest = torch.tensor([mine], dtype=torch.int32, device=groups.device())
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    found = int(highest.item())
    return _WORDS[found - 1] if found else None


@contextmanager
def nothing_to_save() -> Iterator[None]:
    """A part of the run that is simply done again, such as an evaluation: a rank that was asked to stop leaves it.

    It does so at the next `watchdog.beat` of its main thread, without waiting for the others, which were asked too.
    """
    global _nothing_to_save
    before, _nothing_to_save = _nothing_to_save, True
    try:
        yield
    finally:
        _nothing_to_save = before


def look() -> None:
    """Raise `Stopped` where there is nothing to save and this process was asked to stop."""
    if _asked is not None and _nothing_to_save and threading.current_thread() is threading.main_thread():
        raise Stopped(_asked)


_WORDS = (*(number.name for number in SIGNALS), STOP)


def _ask(number: int, _: FrameType | None) -> None:
    global _asked
    _asked = signal.Signals(number).name
