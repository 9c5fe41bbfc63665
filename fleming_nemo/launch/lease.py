"""Who holds a run directory, where a lock of the file system may not reach from node to node.

flock answers at once, and the kernel gives it back when its holder dies; but some shared file systems keep it within a
node.  So the holder also writes who it is and counts up every few seconds, and a newcomer from another node waits until
that has stood still for a while, unless Slurm says that the holder's job is over.  A holder that finds another's name
there, because it was cut off for longer than that, ends at once: two ranks 0 never write into one directory for long.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from fleming_nemo.launch import scheduler
from fleming_nemo.launch.attempts import host

RENEW_S = 5.0
STANDS_STILL_S = 30.0
"""After that a holder counts as dead: six times the interval, for file systems cache and stall."""
_SIZE = 512


class Lease:
    """The record in a lock file, held by this process.

    Args:
        file: descriptor of the lock file.
        ended: what to do when the record turns out to be another's.
    """

    def __init__(self, file: int, environ: Mapping[str, str], ended: Callable[[str], None]) -> None:
        self._file = file
        self._ended = ended
        self._token = secrets.token_hex(8)
        self._who = {
            "token": self._token,
            "pid": os.getpid(),
            "host": host(environ),
            "job": environ.get("SLURM_JOB_ID"),
            "restart": int(environ.get("SLURM_RESTART_COUNT") or 0),
        }
        self._count = 0
        self._over = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def give_back(self) -> None:
        """The directory is free for anyone."""
        self._over.set()
        self._thread.join()
        if (read(self._file) or {}).get("token") == self._token:
            os.ftruncate(self._file, 0)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            try:
                now = read(self._file)
                if now is not None and now["token"] != self._token:
                    self._ended(describe(now))
                    return
                self._write()
            except OSError as error:  # it may come back before anybody takes the directory for free
                print(f"the lock of the run directory cannot be renewed: {error}", file=sys.stderr)

    def _write(self) -> None:
        self._count += 1
        text = json.dumps(self._who | {"count": self._count}).ljust(_SIZE)
        os.pwrite(self._file, text.encode(), 0)
        os.fsync(self._file)


def read(file: int) -> dict[str, Any] | None:
    """The record in a lock file; None where there is none."""
    text = os.pread(file, _SIZE, 0).decode(errors="replace").strip()
    try:
        return json.loads(text)
    except ValueError:
        return None


def is_held(file: int, environ: Mapping[str, str], wait_s: float = STANDS_STILL_S) -> dict[str, Any] | None:
    """The holder's record, if there is one who lives; waits where only time can tell.

    Call it with the flock of the file: whoever held it on this node is gone.
    """
    found = read(file)
    if found is None or found["host"] == host(environ) or _is_over(found, environ):
        return None
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        time.sleep(min(0.5, wait_s / 10))
        now = read(file)
        if now is None:
            return None
        if now != found:
            return now
    return None


def describe(record: Mapping[str, Any]) -> str:
    """The holder in words."""
    job = f" (job {record['job']})" if record["job"] else ""
    return f"process {record['pid']} on {record['host']}{job}"


def _is_over(record: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """Whether Slurm knows that the holder's job does not run any more, on nodes that it has a word from."""
    if record["job"] is None or any(node.broken for node in scheduler.nodes([record["host"]])):
        return False
    if record["job"] == environ.get("SLURM_JOB_ID"):
        return int(environ.get("SLURM_RESTART_COUNT") or 0) > record["restart"]
    job = scheduler.job(record["job"])
    return job is not None and (job.state not in scheduler.GOING or job.restarts > record["restart"])
