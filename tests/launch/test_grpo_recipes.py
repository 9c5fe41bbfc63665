"""The recipes of both GRPO stages in small, and mining a stage 2 before it starts."""

import json
import subprocess
import sys

import pytest
from recipe_process import REPOSITORY, run

TIMING = ("seconds", "tokens_per_second", "mfu", "from_bank")


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in row.items() if name not in TIMING} for row in rows]


def mine(*arguments):
    command = [sys.executable, str(REPOSITORY / "data_prep" / "mine_hard.py"), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run directory of a recipe in small; each recipe runs once."""
    folders = {}

    def run_once(name):
        if name not in folders:
            folder = tmp_path_factory.mktemp(name) / "run"
            done = run(name, "--tiny", f"run_dir={folder}")
            assert done.returncode == 0, done.stderr
            folders[name] = folder
        return folders[name]

    return run_once


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grpo_stage1_7b", "grpo_stage2_7b", "grpo_stage1_32b", "grpo_stage2_32b"])
def test_in_small(finished, name):
    folder = finished(name)
    rows = metrics(folder)
    assert [row["step"] for row in rows] == [1, 2, 3] and {row["stage"] for row in rows} == {name[: len("grpo_stage1")]}
    if "stage1" in name:
        told = json.loads((folder / "switch.json").read_text())
        assert told["acts"] and told["reached"] is None and told["steps"] == 3
    else:
        told = json.loads((folder / "mining.json").read_text())
        assert [row["step"] for row in told["rounds"]] == [0, 2]


@pytest.mark.slow
def test_a_stage_2_begins_with_what_was_mined_before_it(finished, tmp_path):
    by_itself = finished("grpo_stage2_7b")
    recipe, own = "recipes/grpo_stage2_7b.py", f"run_dir={tmp_path}/run"
    done = mine(recipe, "--tiny", own)
    assert done.returncode == 0, done.stderr
    assert "between, 0 quarantined; mined.json and mining.json in" in done.stdout
    mined = (tmp_path / "run" / "mined.json").read_bytes()
    assert mined == (by_itself / "mined.json").read_bytes()
    assert mine(recipe, "--tiny", own).returncode == 0, "a second time changes nothing"
    done = run("grpo_stage2_7b", "--tiny", own)
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path / "run") == metrics(by_itself)
    done = mine(recipe, "--tiny", f"run_dir={by_itself}")
    assert done.returncode == 2 and "run has mined already" in done.stderr, "another's mining is not written over"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("recipes/grpo_stage1_7b.py", "only a stage 2 mines"),
        ("recipes/demo.py", "the demo mines for itself"),
        ("recipes/none.py", "there is no recipe"),
    ],
)
def test_what_cannot_be_mined(tmp_path, recipe, said):
    done = mine(recipe, "--tiny", f"run_dir={tmp_path}/run")
    assert done.returncode == 2 and said in done.stderr
