"""`fleming import-config` from the terminal."""

import json

import configs
import pytest

from fleming_nemo import cli
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import RunConfig


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text(configs.NEMO_RL_BASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fleming(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["import-config", *words])
    return ended.value.code


def test_a_recipe_is_written_and_every_field_named(folder, capsys):
    assert fleming("base.yaml") == 0
    said = capsys.readouterr().out
    assert "grpo.num_prompts_per_step = 8 -> grpo.prompts_per_step = 8" in said
    assert "wrote base.py" in said
    assert "def recipe() -> RunConfig:" in (folder / "base.py").read_text()


def test_a_config_and_a_list_for_machines(folder, capsys):
    assert fleming("base.yaml", "--out", "ours.yaml", "--json") == 0
    fields = json.loads(capsys.readouterr().out)["fields"]
    assert any(f["key"] == "policy.generation.top_p" and f["verdict"] == "implied" for f in fields)
    assert from_yaml(folder / "ours.yaml", RunConfig).grpo.prompts_per_step == 8


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["no.yaml"], "cannot read"),
        (["base.yaml", "--out", "x.txt"], "ends in .py"),
        (["base.yaml", "--out", "base.yaml"], "exists"),
    ],
)
def test_mistakes_are_named(folder, capsys, words, sentence):
    assert fleming(*words) == 2
    assert sentence in capsys.readouterr().err
