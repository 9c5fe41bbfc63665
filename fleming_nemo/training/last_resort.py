"""End a process whose interpreter is blocked: stacks, then exit, by C code that needs no lock of Python's.

A thread of Python can do nothing while another one is stuck in a C call without having let go of the global interpreter
lock.  Two things work nevertheless: the timer of `faulthandler`, and a POSIX timer whose notification function is
libc's own `_exit`.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import time
from typing import TextIO

_SIGEV_THREAD = 2


class _SigEvent(ctypes.Structure):
    """`struct sigevent` of Linux on 64 bits."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("rest", ctypes.c_char * 32),
    )


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class LastResort:
    """Writes all stacks of this process to `out` and ends it with `exit_code`, unless told otherwise in time.

    One at a time in a process.  Time is CLOCK_MONOTONIC: it stands still while the machine sleeps, but goes on while
    the process is stopped.
    """

    def __init__(self, out: TextIO, exit_code: int) -> None:
        self._out = out
        libc = ctypes.CDLL(None, use_errno=True)
        # glibc before 2.34 has the timers in a library of their own
        self._library = libc if hasattr(libc, "timer_create") else ctypes.CDLL("librt.so.1", use_errno=True)
        event = _SigEvent(value=exit_code, notify=_SIGEV_THREAD, function=ctypes.cast(libc._exit, ctypes.c_void_p))
        self._timer = ctypes.c_void_p()
        if self._library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise _os_error("timer_create")

    def arm(self, stacks_s: float, exit_s: float) -> None:
        """Stacks in `stacks_s` seconds, the end in `exit_s`; takes the place of what was set before."""
        faulthandler.dump_traceback_later(stacks_s, file=self._out)
        self._set(exit_s)

    def close(self) -> None:
        """Nothing will happen any more."""
        faulthandler.cancel_dump_traceback_later()
        self._library.timer_delete(self._timer)

    def _set(self, seconds: float) -> None:
        whole, part = divmod(max(seconds, 1e-3), 1)
        spec = _TimerSpec(value=_TimeSpec(int(whole), int(part * 1e9)))
        if self._library.timer_settime(self._timer, 0, ctypes.byref(spec), None):
            raise _os_error("timer_settime")


def _os_error(function: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{function}: {os.strerror(code)}")
