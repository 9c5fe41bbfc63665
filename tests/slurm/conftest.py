"""A real Slurm of four nodes on this machine, private to the test session."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

LAB = Path(__file__).parent / "lab"
REPOSITORY = LAB.parents[2]
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")


class Cluster:
    """What the tests ask of it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    def call(self, *command: str) -> str:
        """Call a program of Slurm; one that a busy controller hung up on (SIGPIPE) is called again."""
        for _ in range(3):
            done = subprocess.run(command, env=self.environ, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
            if done.returncode != -signal.SIGPIPE:
                break
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sbatch(self, *arguments: str, **environ: str) -> str:
        """Submit from the root of the repository; returns the job's id."""
        command = ["sbatch", "--parsable", *arguments]
        env = self.environ | environ
        return subprocess.check_output(command, env=env, cwd=REPOSITORY, text=True, timeout=60).strip()

    def submit(self, *command: str, **environ: str) -> str:
        """Call a script that submits jobs of its own; returns the id of the last one, which it prints."""
        env = self.environ | environ
        return subprocess.check_output(command, env=env, cwd=REPOSITORY, text=True, timeout=60).strip()

    def refusal(self, *command: str, **environ: str) -> str:
        """What a command that must fail says on stderr."""
        env = self.environ | environ
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stderr

    def kill_node(self, name: str) -> None:
        """The node is gone: its daemon, and all that it has started."""
        folder = Path(self.environ["SLURM_LAB_DIR"])
        daemon = int((folder / "pid" / f"slurmd.{name}.pid").read_text())
        steps = [p for p in _processes("slurmstepd") if f"{folder}/log/slurmd.{name}.log" in _open_files(p)]
        for pid in [daemon, *steps, *(child for step in steps for child in _below(step))]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        """Start what is missing, and wait until all nodes are usable."""
        subprocess.run([LAB / "start_slurm.sh"], env=self.environ, check=True, timeout=180, stdout=subprocess.DEVNULL)

    def show(self, job: str) -> dict[str, str]:
        return dict(re.findall(r"(\S+?)=(\S*)", self.call("scontrol", "show", "job", "-o", job)))

    def wait(self, job: str, until: tuple[str, ...] = FINAL, limit_s: float = 60.0) -> str:
        """Poll for a state: `sbatch --wait` looks too rarely, and ten times a second would cost a core."""
        end = time.monotonic() + limit_s
        while (state := self.show(job)["JobState"]) not in until:
            assert time.monotonic() < end, f"job {job} is still {state}"
            time.sleep(0.4)
        return state


def _processes(name: str) -> list[int]:
    return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/comm") if _read(p).strip() == name]


def _open_files(pid: int) -> str:
    """A step daemon's command line is a title; it is known by what it holds."""
    links = []
    for link in (Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").glob("*")):
        with suppress(OSError):
            links.append(os.readlink(link))
    return "\n".join(links)


def _below(pid: int) -> list[int]:
    children = [int(c) for task in Path(f"/proc/{pid}/task").glob("*") for c in _read(task / "children").split()]
    return children + [grandchild for child in children for grandchild in _below(child)]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it has ended meanwhile


@pytest.fixture(scope="session")
def slurm():
    in_ci = os.environ.get("CI") == "true"
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        (pytest.fail if in_ci else pytest.skip)("needs root and slurmctld, slurmd, slurm-client, munge")
    folder = tempfile.mkdtemp(prefix="slurm-lab-")  # short: the path of a unix socket has at most 107 characters
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    environ |= {"SLURM_LAB_DIR": folder, "SLURM_LAB_PORT": str(30100 + os.getpid() % 200 * 10)}
    cluster = Cluster(environ | {"SLURM_CONF": f"{folder}/slurm.conf"})
    try:
        cluster.start()
        yield cluster
    finally:
        subprocess.run([LAB / "stop_slurm.sh"], env=environ, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def _write_site(folder: Path, *lines: str, path: str = "") -> dict[str, str]:
    common = [f"PYTHON={sys.executable}", "export OMP_NUM_THREADS=1", f"export PYTHONPATH={path}:{REPOSITORY}"]
    common += ["PREFLIGHT=0"]  # seconds of every job; where it matters a test turns it on
    (folder / "site.env").write_text("\n".join([*common, *lines]) + "\n")
    return {"SITE_ENV": str(folder / "site.env")}


@pytest.fixture
def site(tmp_path):
    """site(*lines, path=""): writes a site file with these lines besides a Python, and `path` first where that searches
    for modules; returns the environment that names the file."""
    return partial(_write_site, tmp_path)


@pytest.fixture(scope="session")
def site_of():
    """The same in a folder that is given first."""
    return _write_site


def until(what, limit_s: float = 60.0):
    """Wait for something to be true, and return it."""
    end = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found
