"""Every refusal of fp8, by table; and the settings against megatron-core's own configuration class."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from fleming_nemo.config.choices import FP8_RECIPES
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import ModelConfig, ParallelConfig, RunConfig
from fleming_nemo.config.validate import can_generate, pack_multiple
from fleming_nemo.parallel import precision
from fleming_nemo.parallel.extensions import Extension
from fleming_nemo.parallel.precision import Device, check_config, check_precision

TE = Extension("transformer-engine", "2.20.2")
H100 = Device((9, 0), "12.9", TE)
B200 = Device((10, 0), "12.9", TE)


def fp8(recipe: str = "blockwise", ends: int = 0, arch: str = "qwen2.5-7b") -> ModelConfig:
    return ModelConfig(arch=arch, precision="fp8", fp8_recipe=recipe, fp8_bf16_ends=ends)


@pytest.mark.parametrize(
    ("recipe", "device"),
    [
        ("delayed", Device((8, 9), "12.1", TE)),
        ("tensorwise", Device((8, 9), "12.4", TE)),
        ("delayed", H100),
        ("tensorwise", H100),
        ("blockwise", H100),
        ("blockwise", Device((9, 0), "13.0", Extension("transformer-engine", "unknown"))),
        ("blockwise", Device((9, 0), "12.9", Extension("transformer-engine", "2.3.0+abc"))),
        ("blockwise", B200),
        ("mxfp8", B200),
        ("mxfp8", Device((10, 3), "13.0", TE)),
        ("tensorwise", Device((12, 0), "12.9", TE)),
    ],
)
def test_what_runs(recipe: str, device: Device) -> None:
    check_precision(fp8(recipe), device)


@pytest.mark.parametrize(
    ("recipe", "device", "sentence"),
    [
        ("blockwise", Device(), "fp8, which needs Transformer Engine and an NVIDIA GPU, and neither is here"),
        ("blockwise", Device((9, 0), "12.9"), "Transformer Engine, and it is not installed; `pip install --no-build"),
        ("blockwise", Device((9, 0), "12.9", Extension("transformer-engine", "2", "half a package")), "half a package"),
        ("tensorwise", Device((8, 0), "12.9", TE), r"needs compute capability 8.9 .*has 8.0.*use model.precision=bf16"),
        ("delayed", Device((8, 6), "12.9", TE), "use model.precision=bf16"),
        ("delayed", Device((9, 0), "11.8", TE), "needs CUDA 12.1 or newer .this torch is built for 11.8."),
        ("blockwise", Device((8, 9), "12.9", TE), "capability 9.0 .*use model.fp8_recipe=delayed or tensorwise$"),
        ("blockwise", Device((9, 0), "12.8", TE), "needs CUDA 12.9 .*12.8.*use model.fp8_recipe=delayed or"),
        ("blockwise", Device((9, 0), None, TE), "needs CUDA 12.9 .*built for none"),
        ("mxfp8", H100, "capability 10.0 .*has 9.0.*or tensorwise or blockwise$"),
        ("mxfp8", Device((12, 0), "12.9", TE), "capability below 12.0 .*has 12.0"),
        ("blockwise", Device((9, 0), "12.9", Extension("transformer-engine", "2.2.1")), "Engine 2.3 or newer .2.2.1 "),
        (
            "mxfp8",
            Device((10, 0), "12.9", Extension("transformer-engine", "1.14")),
            "2.1 .*use model.fp8_recipe=delayed$",
        ),
    ],
)
def test_what_is_refused(recipe: str, device: Device, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_precision(fp8(recipe), device)


@pytest.mark.parametrize("name", ["bf16", "fp32"])
def test_other_precisions_need_nothing(name: str) -> None:
    model = ModelConfig(precision=name)
    check_precision(model, Device())
    check_config(RunConfig(task="grpo", model=model))
    assert precision.fp8_settings(model) == {}
    assert precision.token_multiple(model) == 1


def test_this_machine_is_refused_or_has_a_gpu() -> None:
    import torch

    device = precision.this_device()
    assert (device.capability is not None) == torch.cuda.is_available()
    if device.capability is None:
        with pytest.raises(UserError, match="is here"):
            check_precision(fp8(), device)


@pytest.mark.parametrize(
    ("arch", "tp", "recipe"),
    [
        ("qwen2.5-7b", 4, "blockwise"),
        ("qwen2.5-7b", 2, "mxfp8"),
        ("qwen3-32b", 8, "blockwise"),
        ("qwen2.5-tiny", 2, "tensorwise"),
    ],
)
def test_sizes_that_fit(arch: str, tp: int, recipe: str) -> None:
    cfg = RunConfig(task="sft", model=fp8(recipe, arch=arch), parallel=ParallelConfig(tp=tp))
    check_config(cfg)


@pytest.mark.parametrize(
    ("arch", "tp", "recipe", "sentence"),
    [
        ("qwen2.5-tiny", 1, "blockwise", "divide by 128, .* a hidden size of 64 .*; use model.fp8_recipe=delayed or "),
        ("qwen2.5-7b", 8, "blockwise", "a width of all heads of 448"),
        (
            "qwen3-tiny",
            8,
            "mxfp8",
            "a width of all heads of 16 on a rank .*lower parallel.tp, or use .*=delayed or ten",
        ),
        (
            "qwen3-tiny",
            16,
            "delayed",
            "divide by 16, .* of 8 on a rank .*; lower parallel.tp, or use model.precision=bf16",
        ),
    ],
)
def test_sizes_that_do_not_fit(arch: str, tp: int, recipe: str, sentence: str) -> None:
    cfg = RunConfig(task="sft", model=fp8(recipe, arch=arch), parallel=ParallelConfig(tp=tp))
    with pytest.raises(UserError, match=sentence):
        check_config(cfg)


@pytest.mark.parametrize(
    ("recipe", "ends", "pp", "sentence"),
    [
        ("delayed", 1, 1, "delayed scaling keeps one history"),
        ("tensorwise", 20, 2, "more than the 14 layers of a pipeline stage"),
        ("tensorwise", 14, 1, "leaves none of the 28 layers in fp8"),
    ],
)
def test_layers_in_bf16(recipe: str, ends: int, pp: int, sentence: str) -> None:
    cfg = RunConfig(task="sft", model=fp8(recipe, ends), parallel=ParallelConfig(pp=pp))
    with pytest.raises(UserError, match=sentence):
        check_config(cfg)
    cfg.model = fp8("blockwise", 2)
    check_config(cfg)


@pytest.mark.parametrize("task", ["grpo", "evaluate"])
def test_sampling_is_refused(task: str) -> None:
    with pytest.raises(UserError, match=f"task={task} samples in process"):
        check_config(RunConfig(task=task, model=fp8()))


@pytest.mark.parametrize("recipe", FP8_RECIPES)
def test_settings_are_those_of_megatron(recipe: str, one_process: None) -> None:
    """Accepted by TransformerConfig's own checks, and every field is one that it has."""
    from megatron.core.enums import Fp8Recipe
    from megatron.core.transformer import TransformerConfig

    settings = precision.fp8_settings(fp8(recipe, ends=0 if recipe == "delayed" else 2))
    assert set(settings) <= {f.name for f in fields(TransformerConfig)}
    config = TransformerConfig(num_layers=8, hidden_size=64, num_attention_heads=4, bf16=True, **settings)
    assert config.fp8_recipe == Fp8Recipe[recipe]
    assert config.fp8 == ("hybrid" if recipe in ("delayed", "tensorwise") else "e4m3")
    assert config.num_layers_at_end_in_bf16 == (0 if recipe == "delayed" else 2)
    assert not config.fp8_param


def test_the_multiples_are_at_least_megatrons(one_process: None) -> None:
    from megatron.core.enums import Fp8Recipe
    from megatron.core.fp8_utils import get_fp8_align_size

    assert set(precision.RECIPES) == set(FP8_RECIPES)
    for name, recipe in precision.RECIPES.items():
        assert recipe.multiple % get_fp8_align_size(Fp8Recipe[name]) == 0
        assert precision.token_multiple(fp8(name)) == recipe.multiple


@pytest.mark.parametrize("arguments", [["--tiny"], ["--tiny", "--dry-run"]], ids=["run", "dry run"])
def test_a_recipe_without_a_gpu_says_so(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "recipes/sft_7b.py", *arguments, "model.precision=fp8", f"run_dir={tmp_path}/run"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: model.precision is fp8, which needs Transformer Engine and an NVIDIA GPU")
    assert done.stderr.count("\n") == 1


def test_a_network_is_not_built_without_a_gpu(one_process: None) -> None:
    """With the local layers megatron-core would ignore fp8."""
    from fleming_nemo.model import gpt

    if precision.this_device().capability is None:
        model = fp8("tensorwise", arch="qwen2.5-tiny")
        with pytest.raises(UserError, match="is here"):
            gpt.build(ARCHS[model.arch], model, ParallelConfig())


@pytest.mark.parametrize("recipe", FP8_RECIPES)
def test_every_rank_gets_whole_blocks_of_tokens(recipe: str) -> None:
    cfg = RunConfig(model=fp8(recipe), parallel=ParallelConfig(tp=2, cp=3, sequence_parallel=True))
    assert pack_multiple(cfg) % (3 * 2 * precision.token_multiple(cfg.model)) == 0


@pytest.mark.parametrize("name", ["bf16", "fp8"])
def test_sft_in_fp8_does_not_evaluate(name: str) -> None:
    assert can_generate(RunConfig(model=ModelConfig(precision=name))) == (name == "bf16")


def test_without_torch() -> None:
    """The launcher asks, too, and does without seconds of imports."""
    code = "import sys; import fleming_nemo.parallel.precision; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
