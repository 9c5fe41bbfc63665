"""Jobs on a live Slurm of four nodes. Where the training is beside the point it is tests/launch/stand_in."""

import json
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm
STAND_IN = Path(__file__).parents[1] / "launch" / "stand_in"


@pytest.fixture
def site(tmp_path):
    """Writes a site.env; `stand_in` chooses what the runs do."""

    def write(stand_in=None):
        lines = [f"PYTHON={sys.executable}", "export OMP_NUM_THREADS=1"]
        if stand_in:
            lines += [f"export PYTHONPATH={STAND_IN}", f"export STAND_IN={stand_in}"]
        (tmp_path / "site.env").write_text("\n".join(lines) + "\n")
        return {"SITE_ENV": str(tmp_path / "site.env")}

    return write


@pytest.mark.slow
def test_stage_2_trains_over_two_nodes(slurm, site, tmp_path):
    """`sbatch slurm/grpo_stage2.sh --tiny` with the real training: four nodes are given, two processes need two."""
    out, run_dir = tmp_path / "out", tmp_path / "run"
    job = slurm.sbatch(f"--output={out}", "slurm/grpo_stage2.sh", "--tiny", f"run_dir={run_dir}", **site())
    assert slurm.wait(job, limit_s=280) == "COMPLETED", out.read_text()
    assert "grpo_stage2: 2 processes on 2 nodes" in out.read_text()
    assert json.loads((run_dir / "DONE").read_text())["stage"] == "grpo_stage2"
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 3
    assert (run_dir / "logs" / "latest" / "rank_1.log").exists()


def test_tasks_get_their_place_and_only_the_environment_that_is_listed(slurm, site, tmp_path):
    run_dir = tmp_path / "run"
    job = slurm.sbatch(
        "--nodes=2", f"--output={tmp_path}/out", "slurm/grpo_stage1.sh", "--tiny", f"run_dir={run_dir}",
        "parallel.tp=2", "parallel.dp=2", **site("ok"), SECRET="not for the tasks",
    )  # fmt: skip
    assert slurm.wait(job) == "COMPLETED", (tmp_path / "out").read_text()
    ranks = [json.loads((run_dir / f"rank_{r}.json").read_text()) for r in range(4)]
    assert [r["RANK"] for r in ranks] == ["0", "1", "2", "3"]
    assert [r["LOCAL_RANK"] for r in ranks] == ["0", "1", "0", "1"]
    assert {(r["WORLD_SIZE"], r["LOCAL_WORLD_SIZE"], r["MASTER_ADDR"]) for r in ranks} == {("4", "2", "node0")}
    assert {r["MASTER_PORT"] for r in ranks} == {str(20000 + int(job) % 10000)}
    assert {r["SECRET"] for r in ranks} == {None}


@pytest.mark.slow
def test_a_requeued_job_goes_on_in_a_new_attempt(slurm, site, tmp_path):
    run_dir, out = tmp_path / "run", tmp_path / "out"
    environ = site("wait")
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", f"run_dir={run_dir}", **environ)
    slurm.wait(job, until=("RUNNING",))
    _until(lambda: (run_dir / "pid_1").exists())
    site("ok")
    slurm.call("scancel", "--batch", "--signal=USR1", job)  # what Slurm does five minutes before the time limit
    _until(lambda: (run_dir / "logs" / "attempt_2").exists())
    assert slurm.wait(job) == "COMPLETED", out.read_text()
    assert slurm.show(job)["Restarts"] == "1"
    assert "time is nearly up: requeue" in out.read_text()
    assert (run_dir / "DONE").exists()


def test_a_failing_job_says_why_in_its_output(slurm, site, tmp_path):
    out, run_dir = tmp_path / "out", tmp_path / "run"
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", f"run_dir={run_dir}", **site("crash"))
    assert slurm.wait(job) == "FAILED"
    assert '"cause": "RuntimeError: division by cucumber"' in out.read_text()


def test_a_mistake_ends_the_job_before_any_task(slurm, site, tmp_path):
    out = tmp_path / "out"
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", "trian.steps=3", **site("ok"))
    assert slurm.wait(job) == "FAILED"
    assert slurm.show(job)["ExitCode"] == "2:0"
    assert out.read_text() == "error: there is no option 'trian.steps'; did you mean train.steps\n"


def _until(what, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)
