"""The order of the demo's stages, and going on after a kill; training is a stand-in (see stand_in/sitecustomize.py)."""

import json
import os
import signal

import pytest
from recipe_process import run, start, wait_for

STAGES = ["base", "sft", "grpo_stage1", "grpo_stage2"]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_stages_run_in_order_each_from_the_one_before(tmp_path):
    folder = tmp_path / "demo"
    done = run("demo", "--quick", f"run_dir={folder}", stand_in="ok")
    assert done.returncode == 0, done.stderr
    assert (folder / "order.txt").read_text().splitlines() == [
        "base from nano",
        "sft from nano",
        f"grpo_stage1 from {folder}/sft",
        f"grpo_stage2 from {folder}/grpo_stage1",
    ]
    made = summary(folder)
    assert list(made["stages"]) == STAGES
    assert made["stages"]["sft"]["accuracy"] == 0.5 and made["stages"]["sft"]["ci95"] == [0.4, 0.6]
    assert made["parallel"] == {"tp": 2, "pp": 1, "cp": 1, "dp": 2}
    assert made["parallel_by_stage"]["grpo_stage2"] == {"tp": 1, "pp": 1, "cp": 1, "dp": 2}
    assert (folder / "report.html").exists()
    assert "grpo_stage2     50.0%    40.0% - 60.0%" in done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_a_stage_the_same_command_goes_on_there(tmp_path, stage):
    folder = tmp_path / "demo"
    first = start("demo", "--quick", f"run_dir={folder}", stand_in="wait", STAND_IN_STAGE=stage)
    wait_for(lambda: (folder / stage / "pid_1").exists() and (folder / stage / "pid_0").exists())
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    again = run("demo", "--quick", f"run_dir={folder}", stand_in="ok")
    assert again.returncode == 0, again.stderr
    order = [line.split()[0] for line in (folder / "order.txt").read_text().splitlines()]
    assert order == STAGES
    assert (folder / stage / "logs" / "latest").resolve().name == "attempt_2"


def test_time_adds_up_over_attempts(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "state.json").write_text('{"wall_seconds": 1000}')
    assert run("demo", "--quick", f"run_dir={folder}", stand_in="ok").returncode == 0
    assert 1000 < summary(folder)["wall_seconds"] < 1100


def test_a_finished_demo_shows_its_table_again(tmp_path):
    folder = tmp_path / "demo"
    run("demo", "--quick", f"run_dir={folder}", stand_in="ok")
    before = summary(folder)
    again = run("demo", "--quick", f"run_dir={folder}", stand_in="crash")
    assert again.returncode == 0 and "grpo_stage2" in again.stdout
    assert summary(folder) == before


def test_a_failing_stage_is_reported_by_its_rank(tmp_path):
    done = run("demo", "--quick", f"run_dir={tmp_path}/demo", stand_in="crash")
    assert done.returncode == 1
    assert done.stderr.startswith("error: rank 1 failed: RuntimeError: division by cucumber\n")
    assert not (tmp_path / "demo" / "summary.json").exists()
