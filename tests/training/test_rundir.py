"""The files of a run directory."""

import json
from pathlib import Path

import pytest

from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.training.rundir import RunDirectory

ROW = {"stage": "sft", "loss": 0.5, "seconds": {"generate": 1.5, "train": 2}}


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "run", writer=True)
    for step in range(1, 6):
        made.log({"step": step, **ROW})
    return made


def test_rewind_drops_later_metrics(run: RunDirectory) -> None:
    run.rewind(3)
    assert steps(run.path) == [1, 2, 3]
    run.log({"step": 4, **ROW})
    assert steps(run.path) == [1, 2, 3, 4]
    run.rewind(0)
    assert steps(run.path) == []


def test_rewind_drops_a_line_cut_anywhere(run: RunDirectory) -> None:
    """A process killed in the middle of a write leaves a part of a line."""
    file = run.path / "metrics.jsonl"
    whole = file.read_text()
    last = len(whole.splitlines()[-1])
    for missing in range(1, last + 1):
        file.write_text(whole[:-missing])
        run.rewind(9)
        assert steps(run.path) == [1, 2, 3, 4], f"{missing} characters missing"


def test_rewind_without_metrics(tmp_path: Path) -> None:
    RunDirectory(tmp_path, writer=True).rewind(0)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_only_the_writer_writes(tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "run", writer=False)
    other.log({"step": 1})
    other.write_json("eval.json", {})
    other.write_jsonl("rows.jsonl", [{}])
    other.write_card(RunConfig(), {}, {})
    other.rewind(0)
    assert not (tmp_path / "run").exists()


def test_card_and_config(tmp_path: Path) -> None:
    cfg = RunConfig(task="grpo", seed=77)
    RunDirectory(tmp_path, writer=True).write_card(cfg, {"tp": 2, "dp": 1}, {"tokenizer": "abc"})
    assert from_yaml(tmp_path / "config.yaml", RunConfig) == cfg
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["parallel"] == {"tp": 2, "dp": 1} and card["data"] == {"tokenizer": "abc"}
    assert {"python", "torch", "megatron-core", "fleming-nemo"} <= card["versions"].keys()
    assert card["hardware"]["cpus"] >= 1
