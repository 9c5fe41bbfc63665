"""A server of our own: the process, its log, and how it ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleming_nemo.rollout.vllm import keeper
from fleming_nemo.rollout.vllm.keeper import PATIENCE_S

TAIL_LINES = 20


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
        with open(self.log, "rb") as log:
            log.seek(self._start)
            lines = deque((line.decode(errors="replace").rstrip() for line in log), TAIL_LINES)
        return "\n".join(line.rpartition("\r")[2] for line in lines)

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
