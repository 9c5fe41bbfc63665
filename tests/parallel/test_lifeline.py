"""What a killed process has forked ends with it, and what that has forked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FORKS = """
import multiprocessing, os, time
from fleming_nemo.parallel import lifeline

def child(depth):
    print(os.getpid(), flush=True)
    if depth:
        multiprocessing.get_context("fork").Process(target=child, args=(depth - 1,)).start()
    time.sleep(600)

lifeline.forks_end_with_their_parent()
child(2)
"""


def ended(pid: int) -> bool:
    """Gone, or a zombie where the process that inherits it is slow to look."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_forks_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True) as process:
        pids = [int(process.stdout.readline()) for _ in range(3)]
        assert pids[0] == process.pid and not any(map(ended, pids))
        os.kill(process.pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while not all(map(ended, pids)):
        assert time.monotonic() < end, pids
        time.sleep(0.05)
