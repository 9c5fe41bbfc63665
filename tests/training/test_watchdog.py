"""The watchdog in processes of its own: it ends the one it is in.  Whole runs that hang are in launch/test_hang.py."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleming_nemo.training import watchdog

PROGRAM = """
import ctypes, os, sys, time
from pathlib import Path
from fleming_nemo.training import watchdog

folder, limit_s = Path(sys.argv[1]), float(sys.argv[2])

def record(cause, last):
    (folder / "cause.txt").write_text(f"{cause}|{last.step}")

with watchdog.Watchdog(
    limit_s, folder / "stacks.txt", record, (folder / "others").exists, folder / "heartbeat.json"
):
    for step in range(3):
        time.sleep(0.05)
        watchdog.beat(step, "train")
"""


def start(folder: Path, limit_s: float, then: str) -> subprocess.Popen[str]:
    """A process that makes progress for a moment and then does `then`, still watched."""
    program = PROGRAM + "".join(f"    {line}\n" for line in then.splitlines())
    command = [sys.executable, "-c", program, str(folder), str(limit_s)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_thread_that_sleeps_for_ever(tmp_path: Path) -> None:
    code, errors = end(start(tmp_path, 0.5, "with watchdog.phase('checkpoint'):\n    time.sleep(600)"))
    assert code == 75
    cause, step = (tmp_path / "cause.txt").read_text().split("|")
    assert cause.startswith("no progress for 0.") and cause.endswith(" s in step 2 (checkpoint)") and step == "2"
    assert errors == f"{cause}; stacks in {tmp_path}/stacks.txt\n"
    stacks = (tmp_path / "stacks.txt").read_text()
    main = stacks.splitlines()[0].split("main thread ")[1]
    assert f'\nThread {main} (most recent call first):\n  File "<string>", line ' in stacks
    told = json.loads((tmp_path / "heartbeat.json").read_text())
    assert told.keys() == {"step", "phase", "progress", "time", "step_seconds"}


def test_a_call_that_keeps_the_interpreter(tmp_path: Path) -> None:
    """No Python runs any more: the stacks come from C, after twice the time, and so does the exit code."""
    began = time.monotonic()
    code, errors = end(start(tmp_path, 0.5, "ctypes.PyDLL(None).sleep(600)"))
    assert (code, errors) == (75, "")
    assert time.monotonic() - began > 1.0
    assert not (tmp_path / "cause.txt").exists()
    stacks = (tmp_path / "stacks.txt").read_text()
    assert stacks.count("Timeout (") == 1 and '  File "<string>", line ' in stacks.rpartition("\n\n")[2]


def test_a_busy_call_that_keeps_the_interpreter(tmp_path: Path) -> None:
    """The same while it computes: a regular expression that would take years."""
    code, _ = end(start(tmp_path, 0.5, "import re\nre.match('(a*)*b', 'a' * 60)"))
    assert code == 75 and "Timeout (" in (tmp_path / "stacks.txt").read_text()


def test_a_long_phase_that_beats_is_not_a_hang(tmp_path: Path) -> None:
    code, errors = end(start(tmp_path, 1.5, "for _ in range(60):\n    time.sleep(0.05)\n    watchdog.beat()"))
    assert (code, errors) == (0, "")
    assert not (tmp_path / "stacks.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heartbeat.json"]


def test_the_time_in_which_the_process_was_stopped_does_not_count(tmp_path: Path) -> None:
    """Ctrl-Z, or Slurm's suspend: nobody can make progress meanwhile."""
    process = start(tmp_path, 2.0, "(folder / 'ready').touch()\ntime.sleep(0.5)\nwatchdog.beat()\ntime.sleep(0.5)")
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    assert end(process) == (0, "")
    assert not (tmp_path / "cause.txt").exists()


def test_when_another_rank_hangs_half_the_time_is_enough(tmp_path: Path) -> None:
    """So that its stacks are written before it is ended together with the others; but one at work goes on."""
    (tmp_path / "others").touch()
    code, _ = end(start(tmp_path, 3.0, "time.sleep(600)"))
    assert code == 75
    idle_s = float((tmp_path / "cause.txt").read_text().split()[3])
    assert 1.5 <= idle_s < 3.0
    assert end(start(tmp_path, 3.0, "time.sleep(0.5)")) == (0, "")


def test_an_error_ends_the_watch(tmp_path: Path) -> None:
    code, errors = end(start(tmp_path, 0.5, "raise ValueError('no')"))
    assert code == 1 and "ValueError: no" in errors
    assert not (tmp_path / "stacks.txt").exists()


def test_without_a_watchdog_beats_do_nothing() -> None:
    with watchdog.phase("evaluation"):
        watchdog.beat(3)


def test_phases_end_where_they_began(tmp_path: Path) -> None:
    with watchdog.Watchdog(600, tmp_path / "stacks.txt", lambda cause, last: None) as watch:
        assert (watch.progress.step, watch.progress.where()) == (None, "in start")
        watchdog.beat(4, "generate")
        with pytest.raises(OSError), watchdog.phase("checkpoint"):
            assert watch.progress.where() == "in step 4 (checkpoint)"
            raise OSError
        watchdog.beat()
        assert watch.progress.where() == "in step 4 (generate)"
    before = watch.progress
    watchdog.beat(5)
    assert watch.progress is before
    assert os.listdir(tmp_path) == []


def test_durations() -> None:
    assert [watchdog.duration(s) for s in (1.84, 119.0, 1800.4)] == ["1.8 s", "119.0 s", "30 minutes"]
