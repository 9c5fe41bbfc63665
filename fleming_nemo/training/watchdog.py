"""A rank without progress writes where it is and ends the run; and the heartbeat of the whole run.

Progress is what the main thread reports with `beat`: a step, a micro-batch, a generated token.  A thread beside it
notices when that stops.  When one rank hangs the others wait for it in a collective operation and stop beating too, so
every rank finds out by itself, and its stacks tell which one it is.  Where even that thread cannot run, because the
main thread holds the interpreter lock in a C call, `last_resort` ends the process after twice the time.
"""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.data import files
from fleming_nemo.training import stop
from fleming_nemo.training.last_resort import LastResort

HUNG = os.EX_TEMPFAIL
"""Exit code 75, "temporary failure": the same command, or Slurm's requeue, goes on from the newest checkpoint."""

HEARTBEAT = "heartbeat.json"
HEARTBEAT_S = 10.0
_STEPS_TIMED = 20


@dataclass(frozen=True)
class Progress:
    """What the main thread said last, and when (seconds since the epoch)."""

    step: int | None
    phase: str
    time: float

    def where(self) -> str:
        return f"in step {self.step} ({self.phase})" if self.step is not None else f"in {self.phase}"


class Watchdog:
    """Watches this process's main thread while the context is open.

    Args:
        limit_s: longest time without progress.
        stacks: where the stacks go; the file stays only if they were written.
        on_hang: called once with the cause, after the stacks were written and before the process ends.
        others_hang: whether another rank has ended the run as hung; asked only after half of `limit_s` without
            progress, for a shared file system may have a thousand ranks to answer.
        heartbeat: file that says every ten seconds where the run is; for one rank only.
    """

    def __init__(
        self,
        limit_s: float,
        stacks: Path,
        on_hang: Callable[[str, Progress], None],
        others_hang: Callable[[], bool] = lambda: False,
        heartbeat: Path | None = None,
    ) -> None:
        self.limit_s = limit_s
        self.stacks = stacks
        self.progress = Progress(None, "start", time.time())
        self._steps: deque[float] = deque(maxlen=_STEPS_TIMED + 1)  # when the newest ones began
        self._on_hang = on_hang
        self._others_hang = others_hang
        self._heartbeat = heartbeat
        self._interval_s = min(10.0, limit_s / 10)
        # the others look every interval, and then have to write theirs
        self._grace_s = 2 * self._interval_s + 1
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def beat(self, step: int | None = None, phase: str | None = None) -> None:
        """The main thread has got somewhere; what is not given stays as it was."""
        before, now = self.progress, time.time()
        if step is not None and step != before.step:
            self._steps.append(now)
        self.progress = Progress(before.step if step is None else step, phase or before.phase, now)

    def __enter__(self) -> Watchdog:
        global _active
        self.stacks.parent.mkdir(parents=True, exist_ok=True)
        self._out = open(self.stacks, "w", encoding="utf-8")  # noqa: SIM115 (closed in __exit__)
        main = threading.main_thread().ident or 0
        self._out.write(f"process {os.getpid()} on {socket.gethostname()}, main thread 0x{main:016x}\n")
        self._out.flush()
        self._last_resort = LastResort(self._out, HUNG)
        self._arm(idle_s=0.0)
        loops = [self._watch]
        if self._heartbeat is not None:
            self._write_heartbeat(self._heartbeat)
            loops.append(self._write_heartbeats)
        self._threads = [threading.Thread(target=loop, name="watchdog", daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()
        _active = self
        return self

    def __exit__(self, *_: Any) -> None:
        global _active
        _active = None
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._last_resort.close()
        self._out.close()
        self.stacks.unlink(missing_ok=True)

    def _watch(self) -> None:
        """Adds up the time without progress, as far as this thread could run.

        If it could not, the process was stopped or the machine overloaded, and the main thread had no chance either.
        """
        seen, idle_s, looked = self.progress, 0.0, time.monotonic()
        while not self._ended.wait(self._interval_s):
            now, last = time.monotonic(), self.progress
            idle_s = idle_s + min(now - looked, 2 * self._interval_s) if last is seen else 0.0
            seen, looked = last, now
            if idle_s > self.limit_s or (idle_s > self.limit_s / 2 and self._others_hang()):
                self._end(seen, idle_s)
            self._arm(idle_s)

    def _arm(self, idle_s: float) -> None:
        left_s = max(2 * self.limit_s - idle_s, self._interval_s)
        self._last_resort.arm(left_s, left_s + self._grace_s)

    def _end(self, last: Progress, idle_s: float) -> None:
        cause = f"no progress for {duration(idle_s)} {last.where()}"
        self._out.write(f"{cause}\n")
        self._out.flush()
        faulthandler.dump_traceback(self._out)
        self._on_hang(cause, last)
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{cause}; stacks in {self.stacks}\n".encode())
        time.sleep(self._grace_s)
        os._exit(HUNG)

    def _write_heartbeats(self) -> None:
        """In a thread of its own: a file system that does not answer must not look like a main thread that hangs."""
        assert self._heartbeat is not None
        working = True
        while not self._ended.wait(HEARTBEAT_S):
            try:
                self._write_heartbeat(self._heartbeat)
                working = True
            except OSError as error:  # a full disk, say, which training itself will meet and end with
                if working:
                    print(f"{self._heartbeat} cannot be written: {error}", file=sys.stderr)
                working = False

    def _write_heartbeat(self, file: Path) -> None:
        now, began = self.progress, list(self._steps)
        step_s = (began[-1] - began[0]) / (len(began) - 1) if len(began) > 1 else None
        row = {"step": now.step, "phase": now.phase, "progress": now.time, "time": time.time(), "step_seconds": step_s}
        files.write_json(file, row)


_active: Watchdog | None = None


def beat(step: int | None = None, phase: str | None = None) -> None:
    """Progress of the main thread, reported to the watchdog of this process if it has one; costs a microsecond.

    Raises:
        Stopped: the process was asked to stop, and is where nothing has to be saved.
    """
    if _active is not None:
        _active.beat(step, phase)
    stop.look()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """A part of the run that goes by this name in reports; both its ends are progress."""
    before = _active.progress.phase if _active is not None else None
    beat(phase=name)
    try:
        yield
    finally:
        if _active is not None:
            _active.beat(phase=before)


def duration(seconds: float) -> str:
    """A time as one would say it."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} s"
