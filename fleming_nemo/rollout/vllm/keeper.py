"""Keeps one server: a small process between the run and vLLM, so that nothing of vLLM outlives the run.

    python -I keeper.py OWNER_PID COMMAND...

vLLM is several processes (HTTP, engine core, a worker for each tensor-parallel rank).  They end together when the owner
ends, however it ends, when this process is told to (SIGTERM), or when the first of them does.  Orphans come to this
process (prctl(2), PR_SET_CHILD_SUBREAPER), so even those that left the process group are found.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 10.0
"""How long vLLM may take to end after SIGTERM."""
_LOOK_S = 0.3
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_HEARD = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


def keep(owner: int, command: list[str]) -> int:
    """Run the command to its end; its exit code, 128 + signal where one ended it."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # Slurm sends warnings to every process of a step; exec keeps this

    def before() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before)
    give_up_at = None
    try:
        while child.poll() is None:
            heard = signal.sigtimedwait(_HEARD, _LOOK_S)
            if os.getppid() != owner:  # it has ended: nobody waits for a tidy end
                break
            if heard and heard.si_signo != signal.SIGCHLD and give_up_at is None:
                child.terminate()
                give_up_at = time.monotonic() + PATIENCE_S
            if give_up_at is not None and time.monotonic() > give_up_at:
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        _end_orphans()
    return code if code >= 0 else 128 - code


def _end_orphans() -> None:
    """Kill what came to this process as its parents ended, until nothing is left."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    me = os.getpid()
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == me:
                found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), sys.argv[2:]))
