"""How a run says that it ended: `DONE` with its result, or `FAILED.json` with the cause."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.launch.metrics import METRICS, last_step
from fleming_nemo.training.stop import STOP
from fleming_nemo.training.watchdog import HEARTBEAT, HUNG

DONE = "DONE"
FAILED = "FAILED.json"
_OF_PEERS = {"DistBackendError", "DistNetworkError", "DistStoreError"}
_WORDS_OF_PEERS = ("/gloo/transport/", "ncclRemoteError")
"""What torch.distributed raises in a rank whose peer has ended."""


def write_done(folder: Path, result: dict[str, Any]) -> None:
    """Written last, by rank 0: everything else of the run is on disk."""
    files.write_json(folder / DONE, result)
    (folder / FAILED).unlink(missing_ok=True)


def read_done(folder: Path) -> dict[str, Any] | None:
    """The result of a finished run, None for one that is not."""
    return files.read_json(folder / DONE) if (folder / DONE).is_file() else None


def write_failure(
    folder: Path, rank: int, error: BaseException | str, exit_code: int, step: int | None = None
) -> dict[str, Any]:
    """Record why the run stopped, unless another rank did so before: its peers' errors are only consequences.

    An error that only says that a peer is gone counts as none: a rank that knows more takes its place.

    Args:
        step: the step it was in; the last one of metrics.jsonl if not given.

    Returns:
        What the file says now: cause, kind (`user`, `crash`, `hang`, `lost`), rank, step, exit_code, host, time,
        last_heartbeat (the times in seconds since the epoch; the heartbeat is the last sign of life of rank 0: the last
        line of metrics.jsonl, or heartbeat.json).
    """
    failure = {
        "cause": error if isinstance(error, str) else str(error) or type(error).__name__,
        "kind": _kind(error, exit_code),
        "rank": rank,
        "step": last_step(folder) if step is None else step,
        "exit_code": exit_code,
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "time": time.time(),
        "last_heartbeat": _last_change(folder / METRICS, folder / HEARTBEAT),
    }
    if isinstance(error, Exception) and not isinstance(error, UserError):
        failure["cause"] = f"{type(error).__name__}: {error}"
    mine = folder / f".{FAILED}.{rank}.{os.getpid()}"
    try:
        files.write_json(mine, failure)
        os.link(mine, folder / FAILED)
    except FileExistsError:
        before: dict[str, Any] = files.read_json(folder / FAILED)
        if before["kind"] != "lost" or failure["kind"] == "lost":
            return before
        os.replace(mine, folder / FAILED)
    except OSError as full:
        print(f"{FAILED} could not be written: {full}", file=sys.stderr)
    finally:
        mine.unlink(missing_ok=True)
    return failure


def clear_failure(folder: Path) -> None:
    """Forget the failure of an earlier attempt."""
    (folder / FAILED).unlink(missing_ok=True)


def refuse_stopped(folder: Path) -> None:
    """UserError if somebody asked the run not to go on."""
    if (folder / STOP).exists():
        raise UserError(f"{folder / STOP} asks this run not to go on; delete that file to go on with it")


def read_failure(folder: Path) -> dict[str, Any] | None:
    """What stopped the run, None while nothing did."""
    try:
        return files.read_json(folder / FAILED)
    except FileNotFoundError:
        return None


def is_lost(error: BaseException | str) -> bool:
    """Whether an error only says that another rank is gone."""
    return type(error).__name__ in _OF_PEERS or any(words in str(error) for words in _WORDS_OF_PEERS)


def _kind(error: BaseException | str, exit_code: int) -> str:
    if isinstance(error, UserError):
        return "user"
    return "hang" if exit_code == HUNG else "lost" if is_lost(error) else "crash"


def _last_change(*those: Path) -> float | None:
    return max((file.stat().st_mtime for file in those if file.exists()), default=None)
