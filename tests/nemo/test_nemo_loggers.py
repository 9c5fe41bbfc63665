"""The loggers of an exp_manager block, with the real libraries."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import fiddle
import pytest
from nemo_run.cli.cli_parser import parse_cli_args

from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.nemo import RECIPES, tasks

STEPS = 3


@pytest.fixture
def run(monkeypatch):
    """Makes `execute` write three steps instead of training."""

    def execute(cfg):
        Path(cfg.run_dir).mkdir(parents=True, exist_ok=True)
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
    """Arguments of Lightning's logger, one by one and as one text; its data lie in the run directory."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    words = ["create_wandb_logger=true", "create_tensorboard_logger=false", f"explicit_log_dir={tmp_path}/run"]
    options = ["version=abc", "project=mine", "offline=true", "tags=[a, b]"]
    words += [f"wandb_logger_kwargs.{option}" for option in options]
    assert nemorun(*(f"exp_manager.{word}" for word in words)) == 0
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-abc.wandb"))


def test_mlflow(run, tmp_path, monkeypatch):
    """Every number at its step, under NeMo's names; a restart goes on with the same run."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # asked for by MLflow 3
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = f"file:{tmp_path}/store"
    words = [f"explicit_log_dir={tmp_path}/run", "name=it", "create_mlflow_logger=true", "resume_if_exists=true"]
    words += ["resume_ignore_no_checkpoint=true", "create_tensorboard_logger=false", "mlflow_logger_kwargs.prefix=sft"]
    words += [f"mlflow_logger_kwargs.tracking_uri={store}", "mlflow_logger_kwargs.tags={'team': 'medicine'}"]
    words = [f"exp_manager.{word}" for word in words]
    assert nemorun(*words) == 0
    client = MlflowClient(tracking_uri=store)
    (mine,) = client.search_runs([client.get_experiment_by_name("it").experiment_id])
    assert (mine.info.run_name, mine.info.status, mine.data.tags["team"]) == ("run", "FINISHED", "medicine")

    assert nemorun(*words) == 0
    (mine,) = client.search_runs([mine.info.experiment_id])
    found = client.get_metric_history(mine.info.run_id, "sft-loss")
    assert sorted((m.step, round(m.value, 3)) for m in found) == [(1, 2.0), (2, 1.0), (3, 0.667)]


def test_mlflow_without_an_address_writes_into_the_run_directory(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    words = [f"explicit_log_dir={tmp_path}/run", "create_mlflow_logger=true"]
    assert nemorun(*(f"exp_manager.{word}" for word in words)) == 0
    (loss,) = (tmp_path / "run" / "mlruns").glob("*/*/metrics/loss")
    assert len(loss.read_text().splitlines()) == STEPS


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("mlflow_logger_kwargs.log_model=true", "mlflow_logger_kwargs.log_model has no counterpart"),
        ("mlflow_logger_kwargs.tracking_uri=nowhere://x", "cannot be opened: .*nowhere"),
        ("summary_writer_kwargs.log_dir=/a", "summary_writer_kwargs.log_dir has no counterpart"),
        ("create_clearml_logger=true", "create_clearml_logger has no counterpart"),
        ("ema.enable=true", "ema has no counterpart"),
        ("create_preemption_callback=false", "cannot be switched off"),
    ],
)
def test_what_is_not_taken_is_named(run, tmp_path, capsys, word, sentence):
    words = [word, f"explicit_log_dir={tmp_path}/run", "create_mlflow_logger=true"]
    assert nemorun(*(f"exp_manager.{word}" for word in words)) == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_a_run_is_not_begun_twice(run, tmp_path, capsys):
    words = [f"exp_manager.explicit_log_dir={tmp_path}", "exp_manager.resume_if_exists=true"]
    assert nemorun(*words) == 2
    assert "resume_ignore_no_checkpoint" in capsys.readouterr().err


def test_the_fields_are_those_of_nemo():
    """Read in its source: importing it asks for what speech recognition needs."""
    source = Path(importlib.util.find_spec("nemo").origin).parent / "utils" / "exp_manager.py"
    classes = {n.name: n for n in ast.parse(source.read_text()).body if isinstance(n, ast.ClassDef)}
    fields = {f.target.id: f.value for f in classes["ExpManagerConfig"].body if isinstance(f, ast.AnnAssign)}
    assert set(fields) == set(vars(ExpManager()))
    for name, value in vars(ExpManager()).items():
        theirs = fields[name].value if isinstance(fields[name], ast.Constant) else None
        assert value == theirs or (not value and not theirs), name
