"""The processes of a run on this node: waited for together, ended together, and told what the launcher is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleming_nemo.training.stop import SIGNALS, STOPPED

PATIENCE_S = 10.0
"""How long ranks that stop together may take from the first to the last."""
LOOK_AGAIN_S = 0.5
"""How long after the first failure a rank is waited for that was killed, which the others may notice first."""


def first_failure(workers: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all ranks ended well (None) or one did not (its rank).

    A rank that was killed comes before its peers, which only notice; ranks that stop on request do so together.
    """
    failed: float | None = None
    while True:
        codes = [worker.poll() for worker in workers]
        bad = [rank for rank, code in enumerate(codes) if code]
        killed = [rank for rank in bad if (codes[rank] or 0) < 0]
        now = time.monotonic()
        failed = now if bad and failed is None else failed
        patience_s = PATIENCE_S if bad and all(codes[rank] == STOPPED for rank in bad) else LOOK_AGAIN_S
        if killed or (failed is not None and (None not in codes or now - failed > patience_s)):
            others = [rank for rank in bad if codes[rank] != STOPPED]
            return [*killed, *others, *bad][0]
        if all(code == 0 for code in codes):
            return None
        time.sleep(0.1)


def end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Nothing is lost by it that a failed rank has not lost already: checkpoints are whole or not there."""
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
    for worker in workers:
        worker.wait()


@contextmanager
def passing_signals(workers: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """`kill LAUNCHER` ends the workers the same way as Ctrl-C; SIGUSR1 and SIGUSR2 are passed on to them.

    So is SIGTERM inside a job of Slurm, which sends it when the job has to leave.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def ask(*_: object) -> None:
        for worker in workers:
            worker.send_signal(signal.SIGUSR2)

    asking = {signal.SIGUSR1, signal.SIGUSR2} | ({signal.SIGTERM} if "SLURM_JOB_ID" in os.environ else set())
    before = {number: signal.signal(number, ask if number in asking else interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
