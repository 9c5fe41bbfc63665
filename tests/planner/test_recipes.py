"""The layouts that recipes list: valid, within memory, chosen by the number of GPUs."""

import importlib.util
from pathlib import Path

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import preflight
from fleming_nemo.launch.resolve import arguments, resolve
from fleming_nemo.planner.hardware import GPUS
from fleming_nemo.planner.plan import fits, warnings
from fleming_nemo.planner.workload import Kernels

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def module(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


LISTED = [(name, *key) for name in ("sft_7b", "sft_32b") for key in module(name).LAYOUTS]


@pytest.mark.parametrize("name, gpus, seq_length", LISTED)
def test_every_listed_layout_fits_with_margin_and_without_warnings(name, gpus, seq_length):
    cfg = resolve(module(name).recipe, gpus=gpus, seq_length=seq_length)
    assert (cfg.train.seq_length, cfg.train.pack_tokens) == (seq_length, seq_length)
    made = fits(cfg, gpus, GPUS["h100"])
    assert made.memory.total <= 0.91 * GPUS["h100"].memory
    assert made.work.kernels is Kernels.ENGINE
    assert warnings(made) == []


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("gpus", [32, 64])
def test_both_grpo_stages_of_the_32b_fit(stage, gpus):
    cfg = resolve(module(f"grpo_stage{stage}_32b").recipe, gpus=gpus)
    validate(cfg, gpus)
    made = fits(cfg, gpus, GPUS["h100"])
    assert made.memory.total <= 0.91 * GPUS["h100"].memory
    assert warnings(made) == []
    small = resolve(module(f"grpo_stage{stage}_32b").recipe, tiny=True)
    validate(small, 2)
    assert (small.parallel.tp, small.train.pack_tokens, small.model.arch) == (2, 512, "qwen3-tiny")


def test_both_models_have_layouts_for_short_and_long_sequences():
    assert {n for _, n, _ in LISTED} == {8, 16, 32, 64}
    for name in ("sft_7b", "sft_32b"):
        lengths = [length for recipe, _, length in LISTED if recipe == name]
        assert (min(lengths), max(lengths)) == (8192, 32768)
        assert max(lengths) <= ARCHS[module(name).recipe().model.arch].max_positions


@pytest.mark.parametrize("name, ranks", [("sft_7b", 2), ("sft_32b", 4)])
def test_in_small_they_keep_their_kinds_of_parallelism(name, ranks):
    whole, small = resolve(module(name).recipe), resolve(module(name).recipe, tiny=True)
    for size in ("tp", "pp", "vp", "cp"):
        assert getattr(small.parallel, size) == min(2, getattr(whole.parallel, size))
    assert small.parallel.sequence_parallel and small.parallel.overlap and small.train.pack_tokens
    validate(small, ranks)


def test_an_unlisted_number_of_gpus():
    with pytest.raises(
        UserError, match="no layout for 24 GPUs and sequences of up to 8192 tokens is listed; choose --gpus 8"
    ):
        resolve(module("sft_7b").recipe, gpus=24)
    with pytest.raises(UserError, match="`fleming plan RECIPE --gpus 16 --search`"):
        resolve(module("sft_32b").recipe, gpus=16, seq_length=40960)


@pytest.mark.parametrize(
    "environ",
    [
        {"RANK": "3", "WORLD_SIZE": "32"},
        {"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "32"},
    ],
    ids=["torchrun", "srun"],
)
def test_ranks_that_somebody_started_choose_by_their_number(monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    recipe = module("sft_32b").recipe
    assert resolve(recipe).parallel.tp == 4
    assert resolve(recipe, gpus=16).parallel.tp == 8
    assert resolve(recipe, tiny=True).parallel.tp == 2


def test_the_batch_script_itself_is_no_rank(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "24")
    assert resolve(module("sft_32b").recipe).parallel.tp == 8


def test_recipes_without_arguments_take_none():
    assert arguments(RunConfig) == arguments(module("grpo_stage1_7b").recipe) == {}
    assert arguments(module("sft_7b").recipe) == {"gpus": 8, "seq_length": 8192}
    with pytest.raises(UserError, match="one layout for all lengths; set train.seq_length"):
        resolve(RunConfig, seq_length=8192)


def test_a_dry_run_checks_memory_for_a_planned_number_of_gpus():
    cfg = resolve(module("sft_32b").recipe)
    with pytest.raises(UserError, match="model.weights is models/Qwen3-32B, which is not a folder"):
        preflight.dry_run(cfg, gpus=16)  # memory was no obstacle
    cfg.parallel.tp, cfg.parallel.dp = 2, 4
    with pytest.raises(UserError, match="qwen3-32b needs 1.. GB on each GPU of pipeline stage 0, but h100 has 80 GB"):
        preflight.dry_run(cfg, gpus=16)
