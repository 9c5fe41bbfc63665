"""The batch scripts without a Slurm: syntax, style, help, and what they refuse."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((REPOSITORY / "slurm").glob("*.sh"))
STAGES = [s for s in SCRIPTS if s.name != "lib.sh"]


def bash(*arguments, **environ):
    env = {"PATH": "/usr/bin:/bin"} | environ
    return subprocess.run(["bash", *map(str, arguments)], env=env, capture_output=True, text=True, timeout=60)


def test_there_is_a_script_for_each_stage():
    assert [s.name for s in STAGES] == ["grpo_stage1.sh", "grpo_stage2.sh", "sft_32b.sh", "sft_7b.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.name)
def test_syntax(script):
    assert bash("-n", script).stderr == ""


def test_style():
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    files = [*SCRIPTS, *(REPOSITORY / "tests" / "slurm" / "lab").glob("*.sh"), REPOSITORY / ".ci" / "run"]
    done = subprocess.run(["shellcheck", "-x", *files], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.stdout == ""


@pytest.mark.parametrize("script", STAGES, ids=lambda s: s.name)
def test_help_says_how_to_submit(script):
    assert f"sbatch slurm/{script.name} [--tiny] [key.sub=value ...]" in bash(script, "--help").stdout


@pytest.mark.parametrize("script", STAGES, ids=lambda s: s.name)
def test_outside_of_a_job_it_says_what_to_do(script):
    done = bash(script, "--tiny")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: submit this with sbatch, for example: sbatch {script} --tiny\n",
    )


def test_a_model_without_recipe(tmp_path):
    done = bash(STAGES[1], "--tiny", SLURM_JOB_ID="1", FLEMING_ROOT=str(REPOSITORY), MODEL="70b")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no recipes/grpo_stage2_70b.py; MODEL=70b is not available for this")


def test_a_job_from_elsewhere(tmp_path):
    done = bash(STAGES[1], "--tiny", SLURM_SUBMIT_DIR=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} is not a checkout of fleming-nemo; submit from its root\n"


def test_the_size_of_the_allocation_chooses_the_layout():
    job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "24", "FLEMING_ROOT": str(REPOSITORY), "PYTHON": sys.executable}
    done = bash(REPOSITORY / "slurm" / "sft_32b.sh", **job)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: no layout for 24 GPUs and sequences of up to 8192 tokens is listed; choose --gpus"
    )
    done = bash(REPOSITORY / "slurm" / "sft_32b.sh", "--gpus", "9", **job)
    assert done.stderr.startswith("error: no layout for 9 GPUs")
