"""A run as a chain of processes: each life of it may be killed, and the next one is started with the same command."""

import multiprocessing
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
from harness import Case

LIFE_LIMIT_S = 240


class Life:
    """The two ranks of a run from one start to their end; `cases` follow each other, as the stages of a recipe do."""

    def __init__(self, folder: Path, cases: Sequence[Case]) -> None:
        folder.mkdir()
        self.folder = folder
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(harness.PRELOAD)
        self._ranks = [context.Process(target=harness._rank, args=(rank, 2, cases, folder)) for rank in range(2)]
        self.began = time.monotonic()
        for process in self._ranks:
            process.start()

    def kill(self) -> None:
        """kill -9 of both ranks; neither may have ended before."""
        for process in self._ranks:
            process.kill()
        for process in self._ranks:
            process.join()
        assert [p.exitcode for p in self._ranks] == [-9, -9], "it had ended before: " + self.complaints()

    @property
    def alive(self) -> bool:
        return all(p.is_alive() for p in self._ranks)

    def complaints(self) -> str:
        return "\n".join(f.read_text() for f in sorted(self.folder.glob("rank_*.txt")))

    def finished(self, case: str) -> bool:
        return (self.folder / f"{case}.pickle").is_file()

    def result(self, case: str) -> Any:
        """What the case returned, once the life has come to its own end."""
        for process in self._ranks:
            process.join(LIFE_LIMIT_S)
        assert [p.exitcode for p in self._ranks] == [0, 0], self.complaints()
        return pickle.loads((self.folder / f"{case}.pickle").read_bytes())
