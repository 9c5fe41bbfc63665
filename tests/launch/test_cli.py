import json
import subprocess
import sys

import pytest
import yaml
from recipe_process import REPOSITORY, STAND_IN


def fleming(*arguments, **environ):
    command = [sys.executable, "-m", "fleming_nemo.cli", *arguments]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{STAND_IN}:{REPOSITORY}"} | environ
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


def test_run_demo_submit_and_report(tmp_path):
    recipe = "recipes/sft_7b.py"
    assert fleming("run", recipe, "--tiny", f"run_dir={tmp_path}/a").returncode == 0
    assert json.loads((tmp_path / "a" / "DONE").read_text()) == {"stage": "sft"}

    sent = ("submit", recipe, f"run_dir={tmp_path}/b", "--tiny", "--cluster", "local", f"--folder={tmp_path}/jobs")
    done = fleming(*sent, "--wait")
    assert done.returncode == 0 and "{'stage': 'sft'}" in done.stdout, done.stderr

    assert fleming("demo", "--quick", f"run_dir={tmp_path}/demo").returncode == 0
    (tmp_path / "demo" / "report.html").unlink()
    assert fleming("report", f"{tmp_path}/demo").stdout == f"{tmp_path}/demo/report.html\n"
    assert (tmp_path / "demo" / "report.html").exists()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ["run", "recipes/none.py"],
            "there is no recipe recipes/none.py; give the path of a file like recipes/sft_7b.py",
        ),
        (
            ["submit", "recipes/sft_7b.py", "--slurm", "fast"],
            "--slurm takes KEY=VALUE, for example --slurm partition=gpu",
        ),
        (["report", "nowhere"], "nowhere is not a directory"),
        (["demo", "lr=3"], "there is no option 'lr'; did you mean base.optim.lr"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence):
    done = fleming(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1
    assert "Traceback" in fleming("--debug", *arguments).stderr


def test_help_of_a_recipe_lists_its_options_with_its_values():
    out = fleming("run", "recipes/grpo_stage2_7b.py", "--help").stdout
    assert "  grpo.rollouts_per_prompt = 16\n      Group size k of the paper's equations 1-3.\n" in out
    assert "--tiny" in out and "usage: fleming run recipes/grpo_stage2_7b.py" in out


def test_print_config_is_what_the_run_would_write(tmp_path):
    printed = fleming("run", "recipes/sft_7b.py", "--tiny", f"run_dir={tmp_path}/a", "--print-config").stdout
    assert not (tmp_path / "a").exists()
    fleming("run", "recipes/sft_7b.py", "--tiny", f"run_dir={tmp_path}/a")
    assert (tmp_path / "a" / "config.yaml").read_text() == printed


def test_flags_of_grpo_recipes_are_options(tmp_path):
    printed = fleming(
        "run", "recipes/grpo_stage1_7b.py", "--tiny", "--replay", f"{tmp_path}/earlier", "--print-config"
    ).stdout
    rollout = yaml.safe_load(printed)["rollout"]
    assert rollout["record"] == f"{tmp_path}/earlier"
    refused = fleming("run", "recipes/sft_7b.py", "--record")
    assert refused.returncode == 2 and "--record" in refused.stderr
