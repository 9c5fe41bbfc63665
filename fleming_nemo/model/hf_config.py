"""config.json of a Hugging Face folder: written for a shape, and compared with one before weights are read.

Tensor shapes do not tell everything: the same weights with another rotary base, norm epsilon or activation load
without an error and speak nonsense.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape

MODEL_TYPES = {"qwen2.5": "qwen2", "qwen3": "qwen3", "llama": "llama"}
"""transformers' `model_type` of each family."""

MISFIT = "model.arch and model.weights do not belong together"


def config_json(shape: ArchShape, dtype: str) -> dict[str, Any]:
    """What transformers (4 and 5) and vLLM read as Qwen2-, Qwen3- or LlamaForCausalLM; `dtype` as in "bfloat16"."""
    name = MODEL_TYPES[shape.family]
    return {
        "architectures": [f"{name.capitalize()}ForCausalLM"],
        "model_type": name,
        "num_hidden_layers": shape.num_layers,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.ffn_hidden_size,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab_size,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.rms_eps,
        "tie_word_embeddings": shape.tied,
        "max_position_embeddings": shape.max_positions,
        "hidden_act": "silu",
        "torch_dtype": dtype,
    }


def check(folder: Path, shape: ArchShape) -> None:
    """Raise a UserError where the folder's config.json is missing or describes another network than `shape`.

    A field that is absent has the value that transformers gives it; `max_position_embeddings` may differ, as it
    changes no number.
    """
    file = folder / "config.json"
    config = _read(file)
    theta = _rope_theta(file, config)
    heads = config.get("num_attention_heads")
    width = config.get("hidden_size")
    found = {
        "model_type": config.get("model_type"),
        "num_hidden_layers": config.get("num_hidden_layers"),
        "hidden_size": width,
        "intermediate_size": config.get("intermediate_size"),
        "num_attention_heads": heads,
        "num_key_value_heads": _or_default(config.get("num_key_value_heads"), heads),
        "head_dim": _or_default(config.get("head_dim"), width // heads if width and heads else None),
        "vocab_size": config.get("vocab_size"),
        "rope_theta": theta,
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
        "hidden_act": config.get("hidden_act", "silu"),
    }
    needed = {name: config_json(shape, "")[name] for name in found}
    # Switches of transformers for networks that this package does not build.
    for name, off in (("attention_bias", False), ("mlp_bias", False), ("use_sliding_window", False)):
        found[name], needed[name] = config.get(name, off), off
    for name, value in found.items():
        if not _same(value, needed[name]):
            raise UserError(f"{file} says {name} = {value!r} where model.arch needs {needed[name]!r}; {MISFIT}")


def _read(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"no config.json in {file.parent}; give model.weights a whole Hugging Face model folder"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); copy the folder again") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no JSON object; copy the folder again")
    return config


def _rope_theta(file: Path, config: dict[str, Any]) -> Any:
    """The rotary base, which transformers 5 keeps in `rope_parameters`; every kind of scaling is refused."""
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or {}
    kinds = [section.get(name) for section in (rope, scaling) for name in ("rope_type", "type")]
    if any(isinstance(value, dict) for value in rope.values()):
        kinds.append("one of its own for each kind of layer")
    for kind in kinds:
        if kind not in (None, "default"):
            raise UserError(f"{file} asks for rotary scaling of type {kind!r}, which this package does not build")
    for section in (config, rope):
        if section.get("partial_rotary_factor", 1.0) != 1.0:
            raise UserError(
                f"{file} says partial_rotary_factor = {section['partial_rotary_factor']!r} where model.arch needs 1.0; "
                f"{MISFIT}"
            )
    return rope.get("rope_theta", config.get("rope_theta", 10000.0))


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _same(found: Any, needed: Any) -> bool:
    if isinstance(needed, bool) or not isinstance(needed, float):
        return bool(found == needed)
    return isinstance(found, int | float) and math.isclose(found, needed, rel_tol=1e-9)
