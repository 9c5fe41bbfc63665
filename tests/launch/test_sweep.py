"""Sweeps on this machine; a job array on a live Slurm is in tests/slurm/test_submission.py."""

import json
from pathlib import Path

import pytest
from recipe_process import REPOSITORY, STAND_IN

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import submit_sweep
from fleming_nemo.launch.submission import attach
from fleming_nemo.launch.sweep import dry_run_sweep, parse, points

SFT = REPOSITORY / "recipes" / "sft_7b.py"
QUADRATIC = Path(__file__).parent / "quadratic"
ONE_PROCESS = ["parallel.tp=1", "parallel.sequence_parallel=false", "parallel.dp=1"]


def sweep(tmp_path, over, **arguments):
    overrides = [f"run_dir={tmp_path}/sweep", *ONE_PROCESS]
    return submit_sweep(SFT, over, overrides=overrides, tiny=True, folder=tmp_path / "jobs", **arguments)


def test_what_the_command_line_may_say():
    assert parse(["seed=1..3", "optim.lr=1e-6,2e-6", "grpo.mix=[1,1],[1,2]", "optim.decay=wsd"]) == {
        "seed": ["1", "2", "3"],
        "optim.lr": ["1e-6", "2e-6"],
        "grpo.mix": ["[1,1]", "[1,2]"],
        "optim.decay": ["wsd"],
    }


@pytest.mark.parametrize(
    "over, sentence",
    [
        ({}, "a sweep needs at least one option with values; write seed=1..5"),
        ({"seed": []}, "a sweep needs at least one option with values"),
        ({"seed": [1, 1]}, "the sweep has a value twice"),
        ({"run_dir": ["a", "b"]}, "run_dir cannot be swept"),
        ({"optim.rl": [1]}, "there is no option 'optim.rl'; did you mean optim.lr"),
        ({"parallel.tp": [1, 3]}, "tp"),
    ],
)
def test_refused_before_any_point_is_sent(tmp_path, over, sentence):
    with pytest.raises(UserError, match=sentence):
        sweep(tmp_path, over)
    assert not (tmp_path / "sweep").exists() and not list(tmp_path.glob("jobs/*"))


def test_every_combination_gets_a_directory_with_a_name_that_tells_it():
    root, settings, tasks = points(SFT, {"lr": [1e-6, 2e-6], "seed": range(2)}, 1, ["run_dir=r"], True, "local", {})
    assert [task.run_dir for task in tasks] == [
        root / name for name in ("lr_1e-06-seed_0", "lr_1e-06-seed_1", "lr_2e-06-seed_0", "lr_2e-06-seed_1")
    ]
    assert settings[2] == {"optim.lr": "2e-06", "seed": "0"}  # by their whole names
    assert [(task.cfg.optim.lr, task.cfg.seed) for task in tasks] == [(1e-6, 0), (1e-6, 1), (2e-6, 0), (2e-6, 1)]


def test_names_that_would_be_the_same_are_numbers_instead():
    over = {"data.system_prompt": ["Answer: briefly", "Answer? briefly"]}
    _, _, tasks = points(SFT, over, 1, ["run_dir=r"], True, "local", {})
    assert [task.run_dir.name for task in tasks] == ["point_0", "point_1"]


def test_a_sweep_on_this_machine_goes_on_after_a_failure_and_a_second_one_repairs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{QUADRATIC}:{REPOSITORY}")
    monkeypatch.setenv("QUADRATIC_FAILS", "2")
    sent = sweep(tmp_path, {"seed": [1, 2, 3]}, at_most=2)
    results = sent.results(timeout_s=120)
    assert [r is not None for r in results] == [True, False, True] and sent.states == {"done": 2, "failed": 1}
    assert results[0]["x"] != results[2]["x"]
    failed = attach(tmp_path / "sweep" / "seed_2")  # as another process would find it
    assert failed.state == "failed"
    with pytest.raises(Exception, match="seed 2 brings bad luck"):
        failed.result()

    monkeypatch.setenv("QUADRATIC_FAILS", "")
    again = sweep(tmp_path, {"seed": [1, 2, 3]})
    assert [point.cluster for point in again.points] == ["none", "local", "none"]
    assert None not in again.results(timeout_s=60)
    listed = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert listed["over"] == {"seed": ["1", "2", "3"]} and len(listed["points"]) == 3
    assert {point.cluster for point in sweep(tmp_path, {"seed": [1, 2, 3]}).points} == {"none"}


def test_a_cancelled_sweep_starts_no_further_point(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{REPOSITORY}")
    monkeypatch.setenv("STAND_IN", "wait")
    sent = sweep(tmp_path, {"seed": [1, 2]})
    assert sent.states.get("done") is None
    sent.cancel()
    assert sent.results(timeout_s=60) == [None, None]
    assert sent.points[1].why == "never started"
    assert not (tmp_path / "sweep" / "seed_2" / "config.yaml").exists()


def test_the_job_array_of_a_dry_run_is_throttled_and_knows_every_run_directory(tmp_path):
    over = {"seed": range(50)}
    text = dry_run_sweep(SFT, over, overrides=[f"run_dir={tmp_path}/s", *ONE_PROCESS], tiny=True, at_most=8)
    assert "#SBATCH --array=0-49%8" in text
    assert text.count(f"{tmp_path}/s/seed_") == 50
    assert not (tmp_path / "s").exists()
