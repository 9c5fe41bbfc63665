"""A real Slurm of four nodes on this machine, private to the test session."""

import os
import re
import shutil
import subprocess
import tempfile
import time
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
        done = subprocess.run(command, env=self.environ, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sbatch(self, *arguments: str, **environ: str) -> str:
        """Submit from the root of the repository; returns the job's id."""
        command = ["sbatch", "--parsable", *arguments]
        env = self.environ | environ
        return subprocess.check_output(command, env=env, cwd=REPOSITORY, text=True, timeout=60).strip()

    def show(self, job: str) -> dict[str, str]:
        return dict(re.findall(r"(\S+?)=(\S*)", self.call("scontrol", "show", "job", "-o", job)))

    def wait(self, job: str, until: tuple[str, ...] = FINAL, limit_s: float = 60.0) -> str:
        """Poll for a state: `sbatch --wait` looks too rarely."""
        end = time.monotonic() + limit_s
        while (state := self.show(job)["JobState"]) not in until:
            assert time.monotonic() < end, f"job {job} is still {state}"
            time.sleep(0.1)
        return state


@pytest.fixture(scope="session")
def slurm():
    in_ci = os.environ.get("CI") == "true"
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        (pytest.fail if in_ci else pytest.skip)("needs root and slurmctld, slurmd, slurm-client, munge")
    folder = tempfile.mkdtemp(prefix="slurm-lab-")  # short: the path of a unix socket has at most 107 characters
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    environ |= {"SLURM_LAB_DIR": folder, "SLURM_LAB_PORT": str(30100 + os.getpid() % 200 * 10)}
    try:
        subprocess.run([LAB / "start_slurm.sh"], env=environ, check=True, timeout=180, stdout=subprocess.DEVNULL)
        yield Cluster(environ | {"SLURM_CONF": f"{folder}/slurm.conf"})
    finally:
        subprocess.run([LAB / "stop_slurm.sh"], env=environ, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)
