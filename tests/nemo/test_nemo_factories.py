"""Every recipe as a NeMo-Run factory: the same config, with NeMo's arguments and with the same overrides."""

from pathlib import Path
from typing import Any

import fiddle
import pytest
from nemo_run.cli.cli_parser import parse_cli_args

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch.resolve import load_recipe, resolve
from fleming_nemo.nemo import RECIPES, tasks

FOLDER = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Configs that a task would have run."""
    seen: list[Any] = []
    monkeypatch.setattr(tasks, "execute", seen.append)
    return seen


def start(partial: Any) -> None:
    """What NeMo-Run's runner does in its process."""
    with pytest.raises(SystemExit) as ended:
        fiddle.build(partial)()
    assert ended.value.code == 0


def test_every_recipe_file_is_one():
    assert set(RECIPES) == {file.stem for file in FOLDER.glob("*.py")}


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("tiny", [False, True], ids=["whole", "tiny"])
def test_the_partial_runs_the_recipe(name, tiny, executed):
    recipe = load_recipe(FOLDER / f"{name}.py")
    start(RECIPES[name](dir="/somewhere", name="it", tiny=tiny))
    assert executed == [resolve(recipe, ["run_dir=/somewhere/it"], tiny)]


def test_gpus_choose_the_layout(executed):
    start(RECIPES["sft_32b"](dir="/x", num_nodes=4, num_gpus_per_node=8))
    assert executed[0].parallel == resolve(load_recipe(FOLDER / "sft_32b.py"), gpus=32).parallel


def test_overrides_are_those_of_the_recipe(executed):
    partial = RECIPES["grpo_stage1_7b"](dir="/x")
    parse_cli_args(partial, ["train.steps=7", "optim.lr=2e-6", "grpo.mix=[1,2]", "data.shuffle=false", "seed=5"])
    start(partial)
    cfg: RunConfig = executed[0]
    assert (cfg.train.steps, cfg.optim.lr, cfg.grpo.mix, cfg.data.shuffle, cfg.seed) == (7, 2e-6, [1, 2], False, 5)


def test_a_misspelt_override_is_refused():
    with pytest.raises(Exception, match="stepps"):
        parse_cli_args(RECIPES["sft_7b"](dir="/x"), ["train.stepps=7"])


def test_options_of_a_logger_one_by_one():
    """Numbers, truth values and lists are such; a text that YAML would take for a date stays a text."""
    partial = RECIPES["sft_7b"](dir="/x")
    words = ["ema.enable=false", "summary_writer_kwargs.flush_secs=5", "wandb_logger_kwargs.tags=[a, b]"]
    words += ["wandb_logger_kwargs.name=2026-01-31", "mlflow_logger_kwargs.run_id=null"]
    parse_cli_args(partial, ["exp_manager=fleming", *(f"exp_manager.{word}" for word in words)])
    block = fiddle.build(partial.exp_manager)
    assert (block.ema, block.summary_writer_kwargs) == ({"enable": False}, {"flush_secs": 5})
    assert block.wandb_logger_kwargs == {"tags": ["a", "b"], "name": "2026-01-31"}
    assert block.mlflow_logger_kwargs == {"run_id": None}
