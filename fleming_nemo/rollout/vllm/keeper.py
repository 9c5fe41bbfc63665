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
_TRACKERS_S = 2.0
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
        child.kill()
        code = child.wait()
        _end_all(child.pid)
    return code if code >= 0 else 128 - code


def _end_all(group: int) -> None:
    """Kill the process group and what came to this process as its parents ended, until nothing is left.

    Python's trackers of shared memory end by themselves once they are alone, and give back what nobody else can: a
    server of several ranks has hundreds of megabytes of it.
    """
    spared_until = time.monotonic() + _TRACKERS_S
    while found := _left(group):
        for pid in found:
            if time.monotonic() > spared_until or not _is_tracker(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def _left(group: int) -> list[int]:
    """Processes of the group that have not ended, and children of this one, ended or not."""
    me = os.getpid()
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(parent) == me or (int(its_group) == group and state != "Z"):
                found.append(int(stat.parent.name))
    return found


def _is_tracker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), sys.argv[2:]))
