"""Work cut into shards, each done once: its files first, its completion marker last.

A marker holds the fingerprint of everything that the shard depends on. The same command after a kill finds the markers
of finished shards and does the rest; changed input, plan or code makes another fingerprint and the shard is done anew.
No shard sees another one and results are put together in the order of the shards, so the number of workers cannot
show in any byte.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, write_json

MARKER = "DONE.json"


@dataclass(frozen=True)
class Shard:
    """`work(folder, *arguments)` writes into `folder` and returns counts that JSON can hold; it must be importable."""

    folder: Path
    work: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    depends_on: Any
    """What the result follows from, as JSON can hold it."""

    @property
    def fingerprint(self) -> str:
        return fingerprint([code_version(), self.work.__qualname__, self.depends_on])


def run_shards(shards: Sequence[Shard], workers: int, label: str) -> list[dict[str, Any]]:
    """Counts of all shards, in their order; shards with a valid marker are not done again.

    Raises UserError when a worker is killed, and whatever the work of a shard raises.
    """
    waiting = [shard for shard in shards if _finished(shard) is None]
    with tqdm(total=len(shards), initial=len(shards) - len(waiting), desc=label, unit="shard", disable=None) as bar:
        if workers == 1 or len(waiting) < 2:
            for shard in waiting:
                _do(shard)
                bar.update()
        elif waiting:
            # spawn: a fork of a process with threads may hang
            context = multiprocessing.get_context("spawn")
            try:
                with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context) as pool:
                    for _ in pool.map(_do, waiting):
                        bar.update()
            except BrokenProcessPool as error:
                raise UserError(
                    "a worker was killed (out of memory?); the same command goes on, try --workers 1."
                ) from error
    done = [_finished(shard) for shard in shards]
    return [counts for counts in done if counts is not None]


def _finished(shard: Shard) -> dict[str, Any] | None:
    try:
        marker = read_json(shard.folder / MARKER)
        return marker["counts"] if marker["fingerprint"] == shard.fingerprint else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or of another version
        return None


def _do(shard: Shard) -> None:
    if shard.folder.exists():  # half done, or done from something else
        shutil.rmtree(shard.folder)
    shard.folder.mkdir(parents=True)
    counts = shard.work(shard.folder, *shard.arguments)
    write_json(shard.folder / MARKER, {"fingerprint": shard.fingerprint, "counts": counts})


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Two builds in one folder would delete each other's shards; the lock ends with the process that holds it.

    Raises UserError when another process holds it.
    """
    (out / "work").mkdir(parents=True, exist_ok=True)
    with open(out / "work" / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{out}: another build is at work there; wait for it or give another --out.") from error
        yield


def fingerprint(value: Any) -> str:
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, default=str).encode("utf-8", "backslashreplace")
    ).hexdigest()


@cache
def code_version(*rooms: str) -> str:
    """Hash of the files of `fleming_nemo.rods`, or of some of its folders and files, and of what an item is.

    What older code made is made again.
    """
    root = Path(str(files("fleming_nemo")))
    places = [root / "rods" / room for room in rooms] or [root / "rods"]
    found = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    own = {path for path in found if path.suffix in (".py", ".yaml", ".txt")} | {root / "data" / "items.py"}
    digest = hashlib.sha256()
    for path in sorted(own):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
