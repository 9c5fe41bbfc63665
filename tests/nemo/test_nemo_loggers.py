"""The loggers of an exp_manager block, with the real libraries."""

import ast
import importlib.util
import json
from pathlib import Path

import fiddle
import pytest
from nemo_run.cli.cli_parser import parse_cli_args

from fleming_nemo.experiment.block import ExpManager
from fleming_nemo.nemo import RECIPES, tasks

STEPS = 3


@pytest.fixture
def run(monkeypatch):
    """Makes `execute` write three steps instead of training."""

    def execute(cfg):
        with open(f"{cfg.run_dir}/metrics.jsonl", "w") as out:
            for step in range(1, STEPS + 1):
                out.write(json.dumps({"step": step, "loss": 2.0 / step}) + "\n")

    monkeypatch.setattr(tasks, "execute", execute)


def nemorun(*words: str) -> int:
    partial = RECIPES["sft_7b"](dir="/unused")
    parse_cli_args(partial, ["exp_manager=fleming", *words])
    with pytest.raises(SystemExit) as ended:
        fiddle.build(partial)()
    return ended.value.code


def test_tensorboard(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert nemorun(f"exp_manager.exp_dir={tmp_path}", "exp_manager.name=it", "exp_manager.version=v1") == 0
    found = EventAccumulator(str(tmp_path / "it" / "v1")).Reload().Scalars("loss")
    assert [(point.step, round(point.value, 3)) for point in found] == [(1, 2.0), (2, 1.0), (3, 0.667)]


def test_wandb(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ["create_wandb_logger=true", "create_tensorboard_logger=false", f"explicit_log_dir={tmp_path}/run"]
    assert nemorun(*(f"exp_manager.{word}" for word in words)) == 0
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-run.wandb"))


def test_a_run_is_not_begun_twice(run, tmp_path, capsys):
    words = [f"exp_manager.explicit_log_dir={tmp_path}", "exp_manager.resume_if_exists=true"]
    assert nemorun(*words) == 2
    assert "resume_ignore_no_checkpoint" in capsys.readouterr().err


def test_the_fields_are_those_of_nemo():
    """Read in its source: importing it asks for what speech recognition needs."""
    source = Path(importlib.util.find_spec("nemo").origin).parent / "utils" / "exp_manager.py"
    classes = {n.name: n for n in ast.parse(source.read_text()).body if isinstance(n, ast.ClassDef)}
    fields = {f.target.id: f.value for f in classes["ExpManagerConfig"].body if isinstance(f, ast.AnnAssign)}
    for name, value in vars(ExpManager()).items():
        theirs = fields[name].value if isinstance(fields[name], ast.Constant) else None
        assert value == theirs or (not value and not theirs), name
