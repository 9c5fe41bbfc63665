"""What FP8 needs, refused where it is not there; and how a recipe is told to megatron-core.

With the local layers megatron-core ignores `fp8` without a word, so that a run would train in bf16 and say fp8.  Here
the GPU, the versions and the sizes are asked first.  The limits are those of Transformer Engine 2.20 (its functions
`check_fp8_support`, `check_fp8_block_scaling_support`, `check_mxfp8_support` and the documentation of each recipe) and
of megatron-core 0.16.1 to 0.19.2 (`get_fp8_recipe`, `TransformerConfig`).  Nothing here imports torch at module level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from fleming_nemo.config.choices import FP8_MULTIPLES
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import ModelConfig, ParallelConfig, RunConfig
from fleming_nemo.parallel import extensions

Capability = tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """Needs and settings of one way to scale fp8 tensors.

    Attributes:
        format: `hybrid` (e4m3 forward, e5m2 for gradients) or `e4m3` throughout.
        multiple: what both dimensions of every matrix divide by, tokens included.
        capability: oldest compute capability.
        below: first compute capability that is too new again, where there is one.
        cuda: oldest CUDA version of torch.
        te: oldest Transformer Engine that megatron-core takes the recipe from.
    """

    format: str
    multiple: int
    capability: Capability
    cuda: str
    te: str
    below: Capability | None = None


RECIPES = {
    # One scale for a whole tensor: a gradient's range asks for the five exponent bits of e5m2.
    "delayed": Recipe("hybrid", FP8_MULTIPLES["delayed"], (8, 9), "12.1", "1.0"),
    "tensorwise": Recipe("hybrid", FP8_MULTIPLES["tensorwise"], (8, 9), "12.1", "2.2"),
    # One scale for 128 or 32 neighbours: their range fits e4m3, whose third mantissa bit halves the rounding error.
    # It is Transformer Engine's own default for both, and what DeepSeek-V3 trained with.
    "blockwise": Recipe("e4m3", FP8_MULTIPLES["blockwise"], (9, 0), "12.9", "2.3"),
    "mxfp8": Recipe("e4m3", FP8_MULTIPLES["mxfp8"], (10, 0), "12.8", "2.1", below=(12, 0)),
}

AMAX_HISTORY = 1024
"""Forward passes over which delayed scaling takes the largest value."""


@dataclass(frozen=True)
class Device:
    """What decides whether fp8 runs here; the default is a process without a GPU.

    Attributes:
        capability: compute capability of the GPU; None without one.
        cuda: version that torch was built for, like "12.9"; None for a CPU build.
        te: Transformer Engine.
    """

    capability: Capability | None = None
    cuda: str | None = None
    te: extensions.Extension = extensions.Extension("transformer-engine")


def this_device() -> Device:
    """The GPU of this process (torch's current device) and the libraries beside it."""
    import torch

    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    return Device(capability, torch.version.cuda, extensions.transformer_engine())


def check_precision(model: ModelConfig, device: Device) -> None:
    """Raise a UserError where `device` cannot train as `model.precision` says; bf16 and fp32 run everywhere."""
    if model.precision != "fp8":
        return
    if device.capability is None:
        lacks = "neither is here" if device.te.version is None else "there is no such GPU here"
        raise UserError(
            f"model.precision is fp8, which needs Transformer Engine and an NVIDIA GPU, and {lacks}; use bf16 or fp32"
        )
    if device.te.fault is not None:
        raise UserError(f"model.precision is fp8, which needs Transformer Engine: {device.te.fault}")
    if device.te.version is None:
        raise UserError(
            "model.precision is fp8, which needs Transformer Engine, and it is not installed; "
            "`pip install --no-build-isolation 'transformer-engine[pytorch]'`, or use bf16"
        )
    lacking = _lacking(RECIPES[model.fp8_recipe], device)
    if lacking is not None:
        possible = [name for name, recipe in RECIPES.items() if _lacking(recipe, device) is None]
        raise UserError(f"model.fp8_recipe is {model.fp8_recipe}, which needs {lacking}; use {_any_of(possible)}")


def _lacking(recipe: Recipe, device: Device) -> str | None:
    """The first thing that a recipe needs and a GPU with Transformer Engine does not have, with what is there."""
    assert device.capability is not None and device.te.version is not None
    have = f"this GPU has {_dotted(device.capability)}"
    if device.capability < recipe.capability:
        return f"compute capability {_dotted(recipe.capability)} or newer ({have})"
    if recipe.below is not None and device.capability >= recipe.below:
        return f"compute capability below {_dotted(recipe.below)} ({have})"
    if device.cuda is None or Version(device.cuda) < Version(recipe.cuda):
        return f"CUDA {recipe.cuda} or newer (this torch is built for {device.cuda or 'none'})"
    if device.te.version != "unknown" and Version(device.te.version) < Version(recipe.te):
        return f"Transformer Engine {recipe.te} or newer ({device.te.version} is installed)"
    return None


def check_config(cfg: RunConfig) -> None:
    """Raise a UserError for what fp8 cannot do on any GPU: sizes, layers at the ends, sampling."""
    model, parallel, shape = cfg.model, cfg.parallel, ARCHS[cfg.model.arch]
    if model.precision != "fp8":
        return
    if cfg.task != "sft" and cfg.rollout.engine == "trainer":
        raise UserError(
            f"model.precision is fp8, but task={cfg.task} samples in process, one token of a sequence at a time, which "
            "fp8 matrices do not allow; use model.precision=bf16 for it, or rollout.engine=vllm"
        )
    _check_ends(model, parallel, shape)
    sizes = _matrix_sizes(shape, parallel.tp)
    multiple = RECIPES[model.fp8_recipe].multiple
    misfit = next((what for what, size in sizes.items() if size % multiple), None)
    if misfit is not None:
        fitting = [name for name, recipe in RECIPES.items() if not any(n % recipe.multiple for n in sizes.values())]
        raise UserError(
            f"model.fp8_recipe is {model.fp8_recipe}, whose matrices divide by {multiple}, but {model.arch} has "
            f"{misfit} of {sizes[misfit]} on a rank (parallel.tp = {parallel.tp}); "
            f"{'lower parallel.tp, or ' if parallel.tp > 1 else ''}use {_any_of(fitting)}"
        )


def token_multiple(model: ModelConfig) -> int:
    """What the tokens of a forward pass on one rank divide by: 1 but under fp8."""
    return RECIPES[model.fp8_recipe].multiple if model.precision == "fp8" else 1


def fp8_settings(model: ModelConfig) -> dict[str, Any]:
    """Fields of megatron-core's TransformerConfig; none but under fp8."""
    if model.precision != "fp8":
        return {}
    settings: dict[str, Any] = {
        "fp8": RECIPES[model.fp8_recipe].format,
        "fp8_recipe": model.fp8_recipe,
        # weights stay in bf16: they are what checkpoints and the export hold, whatever the precision
        "fp8_param": False,
        "first_last_layers_bf16": model.fp8_bf16_ends > 0,
        "num_layers_at_start_in_bf16": model.fp8_bf16_ends,
        "num_layers_at_end_in_bf16": model.fp8_bf16_ends,
    }
    if model.fp8_recipe == "delayed":
        # megatron-core's own default looks back one pass only, so that any growth saturates
        settings |= {"fp8_amax_history_len": AMAX_HISTORY, "fp8_amax_compute_algo": "max", "fp8_margin": 0}
    return settings


def _check_ends(model: ModelConfig, parallel: ParallelConfig, shape: ArchShape) -> None:
    ends, per_stage = model.fp8_bf16_ends, shape.num_layers // parallel.pp
    if ends and model.fp8_recipe == "delayed":
        raise UserError(
            f"model.fp8_bf16_ends is {ends}, but delayed scaling keeps one history for all layers and cannot leave "
            "some out; set model.fp8_bf16_ends=0 or another model.fp8_recipe"
        )
    if ends > per_stage:
        raise UserError(
            f"model.fp8_bf16_ends is {ends}, more than the {per_stage} layers of a pipeline stage; lower it to that"
        )
    if 2 * ends >= shape.num_layers:
        raise UserError(
            f"model.fp8_bf16_ends is {ends} at both ends, which leaves none of the {shape.num_layers} layers in fp8; "
            "lower it, or set model.precision=bf16"
        )


def _matrix_sizes(shape: ArchShape, tp: int) -> dict[str, int]:
    """Rows and columns of the four matrices of a layer, as one tensor-parallel rank holds them."""
    return {
        "a hidden size": shape.hidden_size,
        "a width of all heads": shape.num_heads * shape.head_dim // tp,
        "a width of queries, keys and values": (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim // tp,
        "a feed-forward width": shape.ffn_hidden_size // tp,
    }


def _any_of(recipes: list[str]) -> str:
    return f"model.fp8_recipe={' or '.join(recipes)}" if recipes else "model.precision=bf16"


def _dotted(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"
