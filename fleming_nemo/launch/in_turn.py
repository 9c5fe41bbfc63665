"""Several tasks on this machine by one local job: one after another, or K at a time."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from fleming_nemo.data import files
from fleming_nemo.launch.places import TURNS
from fleming_nemo.launch.task import Task
from fleming_nemo.launch.worker import LAUNCHER_PID


@dataclass
class InTurn:
    """Starts its tasks in their order, each in a process of its own, and writes down how they are.

    Attributes:
        at_most: tasks at the same time.
        stop: whether a failure keeps those behind it from starting.
    """

    tasks: list[Task]
    at_most: int = 1
    stop: bool = False

    def __call__(self) -> dict[str, Any]:
        import submitit

        notes = submitit.JobEnvironment().paths.folder / TURNS
        states = ["pending"] * len(self.tasks)
        going: dict[int, subprocess.Popen[bytes]] = {}
        try:
            while "pending" in states or going:
                before = list(states)
                for n, process in list(going.items()):
                    if process.poll() is not None:
                        states[n] = "failed" if going.pop(n).returncode else "done"
                if self.stop and "failed" in states:
                    states = ["left" if state == "pending" else state for state in states]
                while "pending" in states and len(going) < max(1, self.at_most):
                    n = states.index("pending")
                    going[n], states[n] = _start(self.tasks[n]), "running"
                if states != before:
                    files.write_json(notes, states)
                time.sleep(0.05)
        finally:
            _end(going)
            files.write_json(notes, ["failed" if state == "running" else state for state in states])
        return {"states": states}


def _start(task: Task) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fleming_nemo.launch.task"]
    env = os.environ | {LAUNCHER_PID: str(os.getpid())}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env)
    assert process.stdin is not None
    with process.stdin as pipe:
        pickle.dump(task, pipe)
    return process


def _end(going: dict[int, subprocess.Popen[bytes]]) -> None:
    for process in going.values():
        process.send_signal(signal.SIGTERM)
    for process in going.values():
        process.wait()
