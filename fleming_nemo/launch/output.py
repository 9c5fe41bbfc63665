"""Rank 0's output on the terminal and in its log at once."""

from __future__ import annotations

import codecs
import os
import pty
import sys
import termios
import threading
from pathlib import Path


class Tee:
    """Somewhere for a child to write, copied to this process's stdout and to a file as it comes.

    A pipe, or a pseudo-terminal where stdout is a terminal: progress bars show themselves on terminals only, and take
    their width from them.  Bytes are passed on in the pieces they arrive in, not in lines, for such bars end theirs
    with a carriage return.
    """

    def __init__(self, log: Path) -> None:
        self._read_end, self.write_end = _terminal_like(sys.stdout.fileno()) if sys.stdout.isatty() else os.pipe()
        self._log = open(log, "ab", buffering=0)  # noqa: SIM115 (closed by close())
        self._thread = threading.Thread(target=self._copy, name="rank-0-output", daemon=True)
        self._started = False

    def started(self) -> None:
        """The child has its copy of `write_end`; from now on only its end ends the copying."""
        os.close(self.write_end)
        self._started = True
        self._thread.start()

    def close(self) -> None:
        """Wait for what is still on the way, then close."""
        if self._started:
            # A grandchild may hold the other end longer than the run; its output is not worth waiting for.
            self._thread.join(timeout=5)
        else:
            os.close(self.write_end)
        self._log.close()

    def _copy(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        to_terminal = True
        while piece := self._read():
            if self._log.closed:
                break
            self._log.write(piece)
            if to_terminal:
                try:
                    sys.stdout.write(decoder.decode(piece))
                    sys.stdout.flush()
                except (BrokenPipeError, ValueError):
                    to_terminal = False  # whoever read it has gone; the log goes on
        os.close(self._read_end)

    def _read(self) -> bytes:
        try:
            return os.read(self._read_end, 65536)
        except OSError:
            return b""  # how a pseudo-terminal says that the other end was closed


def _terminal_like(terminal: int) -> tuple[int, int]:
    """A pseudo-terminal of the same width that leaves line ends alone: (end to read from, end to write to)."""
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    rows, columns = termios.tcgetwinsize(terminal)
    termios.tcsetwinsize(slave, (rows or 24, columns or 80))  # 0 = unknown, which would hide all bars
    return master, slave
