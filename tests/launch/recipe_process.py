"""Recipes as a user starts them: a process of their own, with its own process group."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_IN = REPOSITORY / "tests" / "launch" / "stand_in"


def start(recipe: str, *arguments: str, stand_in: str | None = None, **environ: str) -> subprocess.Popen[str]:
    """`python recipes/RECIPE.py ARGUMENTS`; with `stand_in` its runs are those of stand_in/sitecustomize.py."""
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | environ
    if stand_in:
        env |= {"PYTHONPATH": f"{STAND_IN}:{REPOSITORY}", "STAND_IN": stand_in}
    command = [sys.executable, str(REPOSITORY / "recipes" / f"{recipe}.py"), *arguments]
    return subprocess.Popen(
        command,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_as_from_a_terminal,
    )


def _as_from_a_terminal() -> None:
    """Tests may run in the background of a script, where Ctrl-C is ignored and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(recipe: str, *arguments: str, stand_in: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same, waited for."""
    process = start(recipe, *arguments, stand_in=stand_in, **environ)
    try:
        out, err = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_for(what, limit_s: float = 30.0):
    """Poll until `what()` is true, and return it."""
    end = time.monotonic() + limit_s
    while not (value := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
