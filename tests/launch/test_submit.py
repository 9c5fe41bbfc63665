"""Submitting to a process of its own on this machine; Slurm's side is in tests/slurm."""

import os

import pytest
from recipe_process import REPOSITORY, STAND_IN, wait_for

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import ModelConfig, RunConfig
from fleming_nemo.launch import submit
from fleming_nemo.launch.send import send as send_tasks
from fleming_nemo.launch.submission import JobFailed, attach
from fleming_nemo.launch.task import Task

SFT = REPOSITORY / "recipes" / "sft_7b.py"


@pytest.fixture
def stand_in(monkeypatch):
    """Short runs in the submitted job; returns how to choose what they do."""
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{REPOSITORY}")
    monkeypatch.setenv("STAND_IN", "ok")
    return lambda what: monkeypatch.setenv("STAND_IN", what)


def send(tmp_path, recipe=SFT, **arguments):
    arguments = {"tiny": True, "overrides": [f"run_dir={tmp_path}/run"], "folder": tmp_path / "jobs"} | arguments
    return submit(recipe, **arguments)


@pytest.mark.slow
def test_a_tiny_recipe_is_trained_by_submitits_local_executor(tmp_path):
    """The real training, from the knowledge graph through the mining pass to the evaluation."""
    job = send(tmp_path, recipe=REPOSITORY / "recipes" / "grpo_stage2_7b.py")
    result = job.result(timeout_s=280)
    assert job.state == "done"
    assert result["stage"] == "grpo_stage2" and 0 <= result["accuracy"] <= 1
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(metrics) == 3
    assert "2 CPU processes (tp 2 x pp 1 x cp 1 x dp 1)" in job.logs()


def test_a_recipe_function_is_as_good_as_its_path(tmp_path, stand_in):
    job = send(tmp_path, recipe=RunConfig)
    assert job.result(timeout_s=60) == {"stage": "sft"}
    assert job.state == "done" and "rank 0 is here" in job.logs()


def test_a_users_mistake_on_the_other_side_is_a_users_mistake_here(tmp_path, stand_in):
    stand_in("user")
    with pytest.raises(UserError, match="^the corpus has a hole; build it again$"):
        send(tmp_path).result(timeout_s=60)


@pytest.mark.parametrize(
    "what, cause", [("crash", "RuntimeError: division by cucumber"), ("killed", "killed by SIGKILL")]
)
def test_a_crash_names_rank_cause_and_logs(tmp_path, stand_in, what, cause):
    stand_in(what)
    job = send(tmp_path)
    with pytest.raises(
        JobFailed, match=f"^rank 1 failed: {cause}.*; logs in {tmp_path}/run/logs/latest and {tmp_path}/jobs/"
    ):
        job.result(timeout_s=60)
    assert job.state == "failed"


def test_a_cancelled_job_ends_with_its_workers(tmp_path, stand_in):
    stand_in("wait")
    job = send(tmp_path)
    wait_for(lambda: (tmp_path / "run" / "pid_1").exists())
    with pytest.raises(TimeoutError, match="is running after 0.1 s"):
        job.result(timeout_s=0.1)
    job.cancel()
    with pytest.raises(JobFailed):
        job.result(timeout_s=60)
    wait_for(lambda: not os.path.exists(f"/proc/{(tmp_path / 'run' / 'pid_1').read_text()}"))


def test_a_finished_run_is_not_sent_again(tmp_path, stand_in):
    send(tmp_path).result(timeout_s=60)
    before = sorted((tmp_path / "jobs").iterdir())
    again = send(tmp_path)
    assert (again.cluster, again.state, again.result()) == ("none", "done", {"stage": "sft"})
    again.cancel()
    assert sorted((tmp_path / "jobs").iterdir()) == before


def test_a_run_that_goes_on_is_refused_and_found_again_by_its_directory(tmp_path, stand_in):
    stand_in("wait")
    job = send(tmp_path)
    with pytest.raises(UserError, match=f"run is running already as job {job.job_id} .local.; wait for it, cancel it"):
        send(tmp_path)
    again = attach(tmp_path / "run")
    assert (again.job_id, again.state, again.cluster) == (job.job_id, "running", "local")
    job.cancel()
    wait_for(lambda: again.state == "failed")
    assert attach(tmp_path) is None


def test_inside_this_process(tmp_path, monkeypatch):
    """`debug` takes the same call; what runs is the data link, which needs no process of its own."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text("{}")
    cfg = RunConfig(run_dir=f"{tmp_path}/run", model=ModelConfig(arch="qwen2.5-tiny"))
    cfg.data.dir = f"{tmp_path}/data"
    (sent,) = send_tasks([Task("data", cfg)], 1, "debug", tmp_path / "jobs", {"partition": "gpu"})
    assert (sent.state, sent.cluster) == ("pending", "debug")
    assert sent.result() == {"data": f"{tmp_path}/data"}
    assert sent.state == "done"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"tiny": False}, "this machine has no GPU that torch can use, and qwen2.5-7b needs them"),
        ({"nodes": 2}, "cluster 'local' is this one machine; use nodes=1, or cluster='slurm' for 2 nodes"),
        ({"cluster": "cloud"}, "there is no cluster 'cloud'; choose one of local, slurm, debug"),
        ({"overrides": ["trian.steps=3"]}, "there is no option 'trian.steps'; did you mean train.steps"),
        ({"overrides": ["run_dir=/proc/run"]}, "cannot write to the run directory /proc/run"),
        ({"recipe": "recipes/none.py"}, "there is no recipe recipes/none.py"),
        ({"colour": "red"}, "submitit refuses the parameters: Unknown argument 'colour'"),
    ],
)
def test_refused_before_anything_is_submitted(tmp_path, arguments, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        send(tmp_path, **arguments)
    assert not list((tmp_path / "jobs").glob("*"))
