"""One run, one directory, one process tree at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import flatten, from_yaml, to_yaml
from fleming_nemo.data import files
from fleming_nemo.launch import lease

LOCK = ".lock"
CONFIG = "config.yaml"
GRACE_S = 3.0
"""A killed run's processes hold the lock until the kernel has taken them down."""
_TRACES = ("metrics.jsonl", "eval.json", "checkpoints", "rollouts", "DONE")


@contextmanager
def claim(cfg: Any) -> Iterator[int]:
    """Hold `cfg.run_dir` for this run and write its config.yaml; yields the lock's file descriptor.

    Whoever inherits the descriptor holds the lock too: a launcher hands it to its workers, so that a run whose launcher
    was killed is not joined by a second one before the last worker is gone.  From another node, where the file system's
    lock may not reach, `lease` tells whether the holder is alive.

    Errors: UserError when the directory cannot be written, is in use, or belongs to a run with another config.
    """
    folder = Path(cfg.run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        _take(lock, folder)
        check_config(cfg)
        try:
            held = lease.Lease(lock, os.environ, _taken_over)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            _write_config(folder, cfg)
            yield lock
        finally:
            held.give_back()
    finally:
        os.close(lock)


def check_config(cfg: Any) -> None:
    """UserError if `cfg.run_dir` holds results of a run with another config; names the fields that differ."""
    folder = Path(cfg.run_dir)
    file = folder / CONFIG
    # A run that stopped before its first result (say, on a mistake in its config) leaves nothing to protect.
    if not file.is_file() or not _has_results(folder):
        return
    before, now = flatten(from_yaml(file, type(cfg))), flatten(cfg)
    differing = [k for k in before | now if before.get(k) != now.get(k)]
    if differing:
        listed = "; ".join(f"{k} was {before.get(k)!r} and is now {now.get(k)!r}" for k in differing[:4])
        more = f"; and {len(differing) - 4} more fields" if len(differing) > 4 else ""
        raise UserError(
            f"{folder} holds a run with another config ({listed}{more}); "
            "repeat its command to go on with it, or give this run another run_dir=..."
        )


def check_writable(folder: Path, what: str = "run directory", option: str = "run_dir") -> None:
    """UserError if `folder`, or the nearest parent that exists, cannot be written; leaves nothing behind."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"x")
    except OSError as error:
        raise _unwritable(folder, error, what, option) from error


def _write_config(folder: Path, cfg: Any) -> None:
    try:
        files.write_text(folder / CONFIG, to_yaml(cfg))
    except OSError as error:
        raise _unwritable(folder, error) from error


def _take(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + GRACE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _in_use(folder, lease.read(lock)) from None
            time.sleep(0.1)
        except OSError as error:
            raise UserError(
                f"{folder} is on a file system without locks ({error.strerror}); choose another with run_dir=..."
            ) from error

    if holder := lease.is_held(lock, os.environ):
        raise _in_use(folder, holder)


def _in_use(folder: Path, holder: dict[str, Any] | None) -> UserError:
    who = lease.describe(holder) if holder else "another run"
    return UserError(f"{folder} is in use by {who}; wait for it to end, or give this run another run_dir=...")


def _taken_over(by: str) -> None:
    """Another job took this one for dead: whatever it would still write could spoil that one's files."""
    print(f"error: the run directory was taken over by {by}; this process ends", file=sys.stderr, flush=True)
    os._exit(1)


def _has_results(folder: Path) -> bool:
    return any((place / name).exists() for place in (folder, *folder.glob("*/")) for name in _TRACES)


def _unwritable(folder: Path, error: OSError, what: str = "run directory", option: str = "run_dir") -> UserError:
    return UserError(f"cannot write to the {what} {folder}: {error.strerror}; choose another with {option}=...")
