"""A server of our own: the process, its log, and how it ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fleming_nemo.rollout.vllm import keeper
from fleming_nemo.rollout.vllm.keeper import PATIENCE_S

TAIL_LINES = 8
# vLLM's processes repeat the error of the one where it began, each with a prefix of its own.
_ERROR = re.compile(r"(?:\s|^)((?:\w+\.)*\w*(?:Error|Exception): .+)")


class ServerProcess:
    """One start of one server, under a keeper (`keeper.py`), which ends all of it together.

    Args:
        log: both streams are added to the end of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            self._start = out.tell()
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, str(os.getpid()), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A kill of the run's process group would take the keeper before it can end the server.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the keeper; the server is below it."""
        return self._keeper.pid

    @property
    def exit_code(self) -> int | None:
        return self._keeper.poll()

    def tail(self) -> str:
        """Last lines of what this start has written."""
        return "\n".join(deque(self._lines(), TAIL_LINES))

    def epitaph(self) -> str:
        """How it ended: its exit code, the first error that its log tells of, and where that log is."""
        code = self.exit_code or 0
        if code - 128 in set(signal.Signals):
            return f"it was ended by {signal.Signals(code - 128).name}; see {self.log}"
        first = next(filter(None, map(_ERROR.search, self._lines())), None)
        cause = f" over {first[1]}" if first else ""
        return f"it ended with exit code {code}{cause}; see {self.log}"

    def terminate(self) -> None:
        """Ask for the end; `ended` waits for it."""
        if self._keeper.poll() is None:
            self._keeper.terminate()

    async def ended(self) -> int:
        """Wait for the end; kills what does not come to it by itself."""
        for _ in range(int((PATIENCE_S + 5.0) / 0.1)):
            if self._keeper.poll() is not None:
                break
            await asyncio.sleep(0.1)
        else:
            self._keeper.kill()  # the server's first process goes with it, and vLLM's others notice
        return await asyncio.to_thread(self._keeper.wait)

    def _lines(self) -> Iterator[str]:
        """Of this start, as they would stand on a terminal."""
        with open(self.log, "rb") as log:
            log.seek(self._start)
            for line in log:
                yield line.decode(errors="replace").rstrip().rpartition("\r")[2]
