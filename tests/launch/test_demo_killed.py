"""The demo with its real training: killed in every training stage, it ends with the numbers of an uninterrupted one."""

import json
import os
import signal

import pytest
from recipe_process import run, start, wait_for

# Checkpoints after every step or two, so that each stage is killed between its first one and its end.
ARGUMENTS = (
    "--quick",
    "sft.train.save_every=2",
    "sft.train.steps=8",
    "grpo_stage1.train.save_every=1",
    "grpo_stage1.train.steps=3",
    "grpo_stage2.train.save_every=1",
    "grpo_stage2.train.steps=3",
)


def stages(folder):
    return json.loads((folder / "summary.json").read_text())["stages"]


def metrics(folder):
    """Every step's numbers but the times."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_demo_killed_in_every_stage_ends_as_an_uninterrupted_one(tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    done = run("demo", *ARGUMENTS, f"run_dir={whole}")
    assert done.returncode == 0, done.stderr

    for stage in ("sft", "grpo_stage1", "grpo_stage2"):
        process = start("demo", *ARGUMENTS, f"run_dir={pieces}")
        wait_for(lambda s=stage: list((pieces / s / "checkpoints").glob("step_*/state.json")), limit_s=250)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (pieces / stage / "DONE").exists()
    done = run("demo", *ARGUMENTS, f"run_dir={pieces}")
    assert done.returncode == 0, done.stderr

    assert stages(pieces) == stages(whole)
    for stage in ("sft", "grpo_stage1", "grpo_stage2"):
        assert metrics(pieces / stage) == metrics(whole / stage)
        assert (pieces / stage / "logs" / "latest").resolve().name == "attempt_2"
