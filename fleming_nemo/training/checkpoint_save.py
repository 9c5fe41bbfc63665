"""Writing checkpoints: under a temporary name, in the background if wanted, renamed when all ranks' files are on disk.

In the background a save costs the training the time to copy the tensors to host memory.  Processes forked at that
moment write and sum them: they see the memory of that moment, whatever later steps do to the weights.  On a CPU the
fork would copy the ranks' own memory page by page, and the writers need the ranks' cores, so there a save waits.
A writer ends with the rank that it writes for: it would wait for ever for somebody to take its report.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.data import files
from fleming_nemo.parallel import groups, lifeline
from fleming_nemo.parallel.agreement import everyone, everyone_or_error, on_first
from fleming_nemo.training import checkpoint_files, checkpoint_manifest, checkpoint_tensors
from fleming_nemo.training.checkpoint_files import RNG
from fleming_nemo.training.checkpoint_manifest import Entry
from fleming_nemo.training.engine import Engine

from megatron.core.dist_checkpointing.strategies.async_utils import AsyncCallsQueue  # isort: skip
from torch.distributed.checkpoint.api import CheckpointException  # isort: skip


def in_background() -> bool:
    """Whether saves go on beside the training: where the tensors have to be copied off a GPU anyway."""
    return torch.cuda.is_available()


@dataclass
class _Unfinished:
    """A checkpoint whose tensors are being written."""

    step: int
    folder: Path
    content: dict[str, Any]
    sums: Any
    """Pipe from the process that writes this rank's part; None where the rank has nothing to write."""


class Saver:
    """Saves one run.  Every method is collective: all ranks call it at the same place of the program."""

    def __init__(self, engine: Engine, run_dir: Path, keep: int, background: bool | None = None) -> None:
        """`keep` newest checkpoints stay, and the one with the best score; `background`: see `in_background`."""
        self.engine = engine
        self.run_dir = run_dir
        self._keep = keep
        self._background = in_background() if background is None else background
        self._calls = AsyncCallsQueue(persistent=False)
        lifeline.forks_end_with_their_parent()
        self._unfinished: _Unfinished | None = None
        self.newest = 0
        """Steps in the newest checkpoint that is whole, of this process's own making or resumed from."""

    def save(self, step: int, state: dict[str, Any], score: float | None = None) -> None:
        """Save all of the run after `step` steps; waits for an earlier save first.

        In the background it is a checkpoint only when a later `poll`, `save` or `close` has found it written: a run
        killed before goes on from the earlier one.

        Args:
            state: what JSON can hold; later changes to it do not matter.
            score: higher is better; comparable between the saves of a run.

        Raises:
            OSError: the disk is full, or the like; the earlier checkpoints are as they were.
        """
        self.close()
        content = {"step": step} | ({} if score is None else {"score": float(score)}) | state
        rng_states = everyone(torch.get_rng_state())
        with self._reported(step):
            folder = on_first(lambda: checkpoint_files.new_temporary(self.run_dir, step))
            request = checkpoint_tensors.write_request(self.engine, folder)
            on_first(lambda: _write_rng(folder / RNG, rng_states))
            sums = None
            if request.async_fn is not None:
                sums, report = multiprocessing.Pipe(duplex=False)
                write = partial(_write_and_sum, request.async_fn, folder, groups.rank(), report)
                request = request._replace(async_fn=write)
            unfinished = _Unfinished(step, folder, json.loads(json.dumps(content)), sums)
            if self._background:
                self._calls.schedule_async_request(request)
                self._unfinished = unfinished
            else:
                request.execute_sync()
                self._publish(unfinished)

    def poll(self) -> None:
        """Finish a save in the background if all ranks have written their part.

        Raises:
            OSError: one of them could not; the earlier checkpoints are as they were.
        """
        self._finish(wait=False)

    def close(self) -> None:
        """Wait for a save in the background and finish it."""
        self._finish(wait=True)

    def _finish(self, wait: bool) -> None:
        unfinished = self._unfinished
        if unfinished is None:
            return
        with self._reported(unfinished.step):
            if self._calls.maybe_finalize_async_calls(blocking=wait):
                self._unfinished = None
                self._publish(unfinished)

    def _publish(self, unfinished: _Unfinished) -> None:
        """Make a checkpoint of what all ranks have written."""
        parts = everyone_or_error(lambda: _sums_of(unfinished))
        manifest = {name: entry for part in parts for name, entry in part.items()}

        def publish() -> None:
            folder = unfinished.folder
            for file in sorted(folder.iterdir()):
                if file.name not in manifest:  # small ones that rank 0 wrote
                    files.sync(file)
                    manifest[file.name] = checkpoint_manifest.entry(file)
            checkpoint_files.write_state(folder, unfinished.content, manifest)
            checkpoint_files.publish(folder, checkpoint_files.path_of(self.run_dir, unfinished.step))
            checkpoint_files.prune(self.run_dir, self._keep)

        on_first(publish)
        self.newest = unfinished.step

    @contextmanager
    def _reported(self, step: int) -> Iterator[None]:
        """Errors of writing say which checkpoint it was and how much room there is."""
        try:
            yield
        except (CheckpointException, OSError) as error:  # the first is a BaseException: reporters would let it pass
            self._unfinished = None
            cause: Any = error
            if isinstance(error, CheckpointException):  # only rank 0 knows more
                cause = next(iter(error.failures.values()), (f"{error}: see rank 0",))[0]
            # torch's own words do not always say that the disk is full
            free_mb = shutil.disk_usage(self.run_dir).free >> 20
            raise OSError(
                f"the checkpoint of step {step} could not be written ({cause}); {self.run_dir} has {free_mb} MB free"
            ) from error


def _write_and_sum(write: Callable[..., None], folder: Path, rank: int, report: Any, *arguments: Any) -> None:
    """In the process that writes: this rank's files, and then their sums, while they are in the page cache."""
    write(*arguments)
    try:
        report.send({file.name: checkpoint_manifest.entry(file) for file in sorted(folder.glob(f"__{rank}_*"))})
    except OSError as error:
        report.send(error)


def _write_rng(path: Path, states: list[Tensor]) -> None:
    content = io.BytesIO()
    torch.save(states, content)  # to memory: writing to a full disk itself, it raises RuntimeError
    path.write_bytes(content.getvalue())


def _sums_of(unfinished: _Unfinished) -> dict[str, Entry]:
    """What this rank's writing process reported."""
    if unfinished.sums is None:
        return {}
    found = unfinished.sums.recv() if unfinished.sums.poll() else OSError("the process that writes it ended early")
    if isinstance(found, OSError):
        raise found
    return found
