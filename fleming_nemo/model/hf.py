"""Hugging Face names and layouts of Qwen2.5 and Qwen3 weights, to and from this rank's part of a GPTModel.

megatron-core keeps q, k and v of one key/value group together in `linear_qkv`, and gate and up projections one after
the other in `linear_fc1`; Hugging Face keeps them apart.  Everything else is a change of name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape
from fleming_nemo.parallel import groups

Read = Callable[[str], Tensor]

_PLAIN = {
    "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
    "mlp.linear_fc2.weight": "mlp.down_proj.weight",
    "input_layernorm.weight": "input_layernorm.weight",
    "pre_mlp_layernorm.weight": "post_attention_layernorm.weight",
    "self_attention.q_layernorm.weight": "self_attn.q_norm.weight",
    "self_attention.k_layernorm.weight": "self_attn.k_norm.weight",
}
_TOP = {
    "embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "decoder.final_layernorm.weight": "model.norm.weight",
    "output_layer.weight": "lm_head.weight",
}


def full_tensor(name: str, shape: ArchShape, read: Read) -> Tensor:
    """The unsharded megatron tensor of global name `name`, assembled from Hugging Face tensors."""
    if name in _TOP:
        return read(_TOP[name])
    _, _, layer, rest = name.split(".", 3)
    prefix = f"model.layers.{layer}."
    if rest in _PLAIN:
        return read(prefix + _PLAIN[rest])
    if rest == "mlp.linear_fc1.weight":
        return torch.cat([read(prefix + "mlp.gate_proj.weight"), read(prefix + "mlp.up_proj.weight")])
    kind = rest.removeprefix("self_attention.linear_qkv.")
    parts = [read(f"{prefix}self_attn.{x}_proj.{kind}") for x in "qkv"]
    grouped = [t.reshape(shape.num_kv_heads, -1, *t.shape[1:]) for t in parts]
    return torch.cat(grouped, 1).reshape(-1, *parts[0].shape[1:])


def shard(name: str, full: Tensor, tp: int, rank: int, rows: int) -> Tensor:
    """This tensor-parallel rank's part of a full tensor; vocabulary tensors are first padded with zeros to `rows`."""
    if "layernorm" in name:
        return full
    if name.endswith(("linear_proj.weight", "linear_fc2.weight")):
        return full.chunk(tp, 1)[rank]
    if "linear_fc1" in name:
        gate, up = full.chunk(2)
        return torch.cat([gate.chunk(tp)[rank], up.chunk(tp)[rank]])
    if name in ("embedding.word_embeddings.weight", "output_layer.weight") and full.size(0) < rows:
        full = torch.cat([full, full.new_zeros(rows - full.size(0), full.size(1))])
    return full.chunk(tp)[rank]


def load(model: Any, folder: Path, shape: ArchShape) -> None:
    """Fill this rank's GPTModel from a Hugging Face folder of safetensors.

    Raises:
        UserError: a tensor is missing, left over or of another shape; nothing was loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"no *.safetensors in {folder}; give model.weights a Hugging Face model folder")
    handles = [safe_open(file, framework="pt") for file in files]
    where = {key: handle for handle in handles for key in handle.keys()}  # noqa: SIM118 (not a dict)
    _check(folder, {key: tuple(handle.get_slice(key).get_shape()) for key, handle in where.items()}, shape)
    layout = groups.current()
    offset = _first_layer(model)
    for local_name, parameter in model.named_parameters():
        name = _global_name(local_name, offset)
        if name == "output_layer.weight" and shape.tied:
            name = "embedding.word_embeddings.weight"
        rows = parameter.size(0) * layout.tp
        full = full_tensor(name, shape, lambda key: where[key].get_tensor(key))
        with torch.no_grad():
            parameter.copy_(shard(name, full, layout.tp, layout.tp_rank, rows))


def _check(folder: Path, found: dict[str, tuple[int, ...]], shape: ArchShape) -> None:
    """Refuse a folder that is not exactly a model of this shape: a cut one would load, and speak nonsense."""
    expected = hf_shapes(shape)
    if missing := sorted(expected.keys() - found.keys()):
        raise UserError(f"{folder} has no tensor {missing[0]}; model.arch and model.weights do not belong together")
    if left_over := sorted(found.keys() - expected.keys()):
        raise UserError(
            f"{folder} has a tensor {left_over[0]}, for which this model has no place; "
            "model.arch and model.weights do not belong together"
        )
    for name, size in expected.items():
        if found[name] != size:
            raise UserError(
                f"{folder}: {name} has shape {found[name]} where this model needs {size}; "
                "model.arch and model.weights do not belong together"
            )


def save_single(model: Any, folder: Path, shape: ArchShape, extra_config: dict[str, Any] | None = None) -> None:
    """Write a model that lives whole on this rank (tp = pp = 1) as a Hugging Face folder, fp32 safetensors."""
    state = {name: p.detach().float() for name, p in model.named_parameters()}
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in _TOP:
            out[_TOP[name]] = tensor[: shape.vocab_size]
            continue
        _, _, layer, rest = name.split(".", 3)
        prefix = f"model.layers.{layer}."
        if rest in _PLAIN:
            out[prefix + _PLAIN[rest]] = tensor
        elif rest == "mlp.linear_fc1.weight":
            out[prefix + "mlp.gate_proj.weight"], out[prefix + "mlp.up_proj.weight"] = tensor.chunk(2)
        else:
            kind = rest.removeprefix("self_attention.linear_qkv.")
            grouped = tensor.reshape(shape.num_kv_heads, -1, *tensor.shape[1:])
            per_group = shape.num_heads // shape.num_kv_heads * shape.head_dim
            for x, part in zip("qkv", grouped.split([per_group, shape.head_dim, shape.head_dim], 1), strict=True):
                out[f"{prefix}self_attn.{x}_proj.{kind}"] = part.reshape(-1, *tensor.shape[1:])
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous().clone() for k, v in out.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(hf_config(shape) | (extra_config or {}), indent=1) + "\n")


def hf_shapes(shape: ArchShape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a Hugging Face folder."""
    hidden, ffn = shape.hidden_size, shape.ffn_hidden_size
    rows = {"q": shape.num_heads * shape.head_dim, "k": shape.num_kv_heads * shape.head_dim}
    rows["v"] = rows["k"]
    layer: dict[str, tuple[int, ...]] = {f"self_attn.{x}_proj.weight": (rows[x], hidden) for x in "qkv"}
    if shape.family == "qwen2.5":
        layer |= {f"self_attn.{x}_proj.bias": (rows[x],) for x in "qkv"}
    else:
        layer |= {f"self_attn.{x}_norm.weight": (shape.head_dim,) for x in "qk"}
    layer |= {
        "self_attn.o_proj.weight": (hidden, rows["q"]),
        "mlp.gate_proj.weight": (ffn, hidden),
        "mlp.up_proj.weight": (ffn, hidden),
        "mlp.down_proj.weight": (hidden, ffn),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    top: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (shape.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not shape.tied:
        top["lm_head.weight"] = (shape.vocab_size, hidden)
    return top | {f"model.layers.{n}.{name}": size for n in range(shape.num_layers) for name, size in layer.items()}


def hf_config(shape: ArchShape) -> dict[str, Any]:
    """config.json that transformers reads as Qwen2ForCausalLM or Qwen3ForCausalLM."""
    name = {"qwen2.5": "qwen2", "qwen3": "qwen3"}[shape.family]
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
        "torch_dtype": "float32",
    }


def _first_layer(model: Any) -> int:
    layers = model.decoder.layers
    return layers[0].layer_number - 1 if len(layers) else 0


def _global_name(local: str, offset: int) -> str:
    if not local.startswith("decoder.layers."):
        return local
    index, rest = local.removeprefix("decoder.layers.").split(".", 1)
    return f"decoder.layers.{int(index) + offset}.{rest}"
