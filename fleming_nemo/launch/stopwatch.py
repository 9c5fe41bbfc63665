"""Time spent on something over all attempts at it, kept in a file."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from fleming_nemo.data import files


class Stopwatch:
    """Counts the seconds inside its `with` block on top of what the file says; saves them every few seconds.

    A killed process loses at most `every_s` of its time.
    """

    def __init__(self, file: Path, every_s: float = 5.0) -> None:
        self._file = file
        self._every_s = every_s
        self._before = float(files.read_json(file)["wall_seconds"]) if file.is_file() else 0.0
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_saving, name="stopwatch", daemon=True)

    def __enter__(self) -> Stopwatch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._save()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def _save(self) -> None:
        files.write_json(self._file, {"wall_seconds": self.seconds()})

    def _keep_saving(self) -> None:
        while not self._stop.wait(self._every_s):
            self._save()
