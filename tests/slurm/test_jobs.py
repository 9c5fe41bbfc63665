"""Jobs on a live Slurm of four nodes. Where the training is beside the point it is tests/launch/stand_in."""

import json
from pathlib import Path

import pytest
from conftest import until

pytestmark = pytest.mark.slurm
STAND_IN = Path(__file__).parents[1] / "launch" / "stand_in"


@pytest.fixture
def stand_in(site):
    """stand_in(what): the environment that names a site file with stand-in training, which does `what`."""
    return lambda what: site(f"export STAND_IN={what}", "STOP_PATIENCE_S=2", path=str(STAND_IN))


@pytest.mark.slow
def test_stage_2_trains_over_two_nodes(slurm, site, tmp_path):
    """`sbatch slurm/grpo_stage2.sh --tiny` with the real training: four nodes are given, two processes need two."""
    out, run_dir = tmp_path / "out", tmp_path / "run"
    environ = site("PREFLIGHT=1")
    job = slurm.sbatch(f"--output={out}", "slurm/grpo_stage2.sh", "--tiny", f"run_dir={run_dir}", **environ)
    assert slurm.wait(job, limit_s=280) == "COMPLETED", out.read_text()
    assert "grpo_stage2: 2 processes on 2 nodes" in out.read_text()
    assert json.loads((run_dir / "DONE").read_text())["stage"] == "grpo_stage2"
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 3
    logs = run_dir / "logs" / "latest"
    assert (logs / "rank_1.log").exists() and "all nodes are well" in (logs / "preflight.log").read_text()


def test_tasks_get_their_place_and_only_the_environment_that_is_listed(slurm, stand_in, tmp_path):
    run_dir = tmp_path / "run"
    job = slurm.sbatch(
        "--nodes=2", f"--output={tmp_path}/out", "slurm/grpo_stage1.sh", "--tiny", f"run_dir={run_dir}",
        "parallel.tp=2", "parallel.dp=2", **stand_in("ok"), SECRET="not for the tasks",
    )  # fmt: skip
    assert slurm.wait(job) == "COMPLETED", (tmp_path / "out").read_text()
    ranks = [json.loads((run_dir / f"rank_{r}.json").read_text()) for r in range(4)]
    assert [r["RANK"] for r in ranks] == ["0", "1", "2", "3"]
    assert [r["LOCAL_RANK"] for r in ranks] == ["0", "1", "0", "1"]
    assert {(r["WORLD_SIZE"], r["LOCAL_WORLD_SIZE"], r["MASTER_ADDR"]) for r in ranks} == {("4", "2", "node0")}
    assert {r["MASTER_PORT"] for r in ranks} == {str(20000 + int(job) % 10000)}
    assert {r["SECRET"] for r in ranks} == {None}


@pytest.mark.slow
def test_a_job_whose_ranks_do_not_heed_the_signal_is_requeued_all_the_same(slurm, stand_in, tmp_path):
    """Killed at its time limit by Slurm, it would not be started again."""
    run_dir, out = tmp_path / "run", tmp_path / "out"
    environ = stand_in("wait")
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", f"run_dir={run_dir}", **environ)
    until(lambda: (run_dir / "pid_1").exists())
    stand_in("ok")
    slurm.call("scancel", "--batch", "--signal=USR1", job)  # what Slurm does five minutes before the time limit
    until(lambda: (run_dir / "logs" / "attempt_2").exists())
    assert slurm.wait(job) == "COMPLETED", out.read_text()
    assert slurm.show(job)["Restarts"] == "1"
    assert "the job has to stop (time): the run saves and leaves" in out.read_text()
    assert "it is still there after 2 s, and is ended" in out.read_text()
    attempts = [json.loads(line)["cause"] for line in (run_dir / "attempts.jsonl").read_text().splitlines()]
    assert attempts == ["killed rank", "finished"]


def test_a_failing_job_says_why_in_its_output(slurm, stand_in, tmp_path):
    out, run_dir = tmp_path / "out", tmp_path / "run"
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", f"run_dir={run_dir}", **stand_in("crash"))
    until(lambda: out.exists() and '"cause": "RuntimeError: division by cucumber"' in out.read_text())
    slurm.call("scancel", job)  # it would try twice more


def test_a_mistake_ends_the_job_before_any_task(slurm, stand_in, tmp_path):
    out = tmp_path / "out"
    job = slurm.sbatch(f"--output={out}", "slurm/sft_7b.sh", "--tiny", "trian.steps=3", **stand_in("ok"))
    assert slurm.wait(job) == "FAILED"
    assert slurm.show(job)["ExitCode"] == "2:0"
    assert out.read_text() == "error: there is no option 'trian.steps'; did you mean train.steps\n"
