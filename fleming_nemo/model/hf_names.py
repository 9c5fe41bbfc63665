"""Which part of a megatron-core parameter is which Hugging Face tensor.

megatron-core keeps q, k and v of one key/value group together in `linear_qkv`, and gate and up projections one after
the other in `linear_fc1`; Hugging Face keeps them apart.  Everything else is a change of name.  Every Hugging Face
tensor is cut over the tensor-parallel ranks along one axis in equal consecutive ranges, so one table serves import
and export under any layout, for Qwen2.5, Qwen3 and Llama, built with or without Transformer Engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from fleming_nemo.config.presets import ArchShape

Shapes = dict[str, tuple[int, ...]]

EMBEDDING = "model.embed_tokens.weight"

_PLAIN: dict[str, tuple[str, int | None]] = {
    "self_attention.linear_proj.weight": ("self_attn.o_proj.weight", 1),
    "mlp.linear_fc2.weight": ("mlp.down_proj.weight", 1),
    "input_layernorm.weight": ("input_layernorm.weight", None),
    "pre_mlp_layernorm.weight": ("post_attention_layernorm.weight", None),
    # Transformer Engine fuses these two norms with the projection after them
    "self_attention.linear_qkv.layer_norm_weight": ("input_layernorm.weight", None),
    "mlp.linear_fc1.layer_norm_weight": ("post_attention_layernorm.weight", None),
    "self_attention.q_layernorm.weight": ("self_attn.q_norm.weight", None),
    "self_attention.k_layernorm.weight": ("self_attn.k_norm.weight", None),
}
_TOP: dict[str, tuple[str, int | None]] = {
    "embedding.word_embeddings.weight": (EMBEDDING, 0),
    "decoder.final_layernorm.weight": ("model.norm.weight", None),
    "output_layer.weight": ("lm_head.weight", 0),
}


@dataclass(frozen=True)
class Piece:
    """One Hugging Face tensor inside one parameter of this rank.

    Attributes:
        key: name of the Hugging Face tensor.
        axis: its axis that is cut over the tensor-parallel ranks; None where every rank holds all of it.
        part: view of the parameter that holds this rank's cut, of any shape with the same order of elements.
    """

    key: str
    axis: int | None
    part: Callable[[Tensor], Tensor]

    def cut(self, parameter: Tensor) -> Tensor:
        """This rank's cut of the Hugging Face tensor; a copy only where its rows do not follow one another."""
        return self.part(parameter).reshape(-1, *parameter.shape[1:])

    def bounds(self, parameter: Tensor, rank: int, full: tuple[int, ...]) -> tuple[int, int]:
        """Where the cut of tensor-parallel rank `rank` begins and ends along `axis` of the tensor of shape `full`.

        The last ranks hold fewer rows of a vocabulary that does not divide, perhaps none.
        """
        if self.axis is None:
            return 0, full[0]
        part = self.part(parameter)
        size = part.numel() // parameter[0].numel() if self.axis == 0 else part.size(-1)
        return min(rank * size, full[self.axis]), min((rank + 1) * size, full[self.axis])


def pieces(name: str, shape: ArchShape) -> list[Piece]:
    """The Hugging Face tensors inside the parameter of global name `name` (layers counted over all stages)."""
    if name == "output_layer.weight" and shape.tied:
        name = "embedding.word_embeddings.weight"
    if name in _TOP:
        key, axis = _TOP[name]
        return [Piece(key, axis, _whole)]
    _, _, layer, rest = name.split(".", 3)
    prefix = f"model.layers.{layer}."
    if rest in _PLAIN:
        key, axis = _PLAIN[rest]
        return [Piece(prefix + key, axis, _whole)]
    if rest == "mlp.linear_fc1.weight":
        return [Piece(f"{prefix}mlp.{x}_proj.weight", 0, partial(_half, n)) for n, x in enumerate(("gate", "up"))]
    kind = rest.removeprefix("self_attention.linear_qkv.")
    if kind not in ("weight", "bias"):
        raise ValueError(f"no Hugging Face tensor is known for the parameter {name}")
    queries = shape.num_heads // shape.num_kv_heads * shape.head_dim
    ends = [0, queries, queries + shape.head_dim, queries + 2 * shape.head_dim]
    return [
        Piece(f"{prefix}self_attn.{x}_proj.{kind}", 0, partial(_rows_of_group, ends[n], ends[n + 1], ends[3]))
        for n, x in enumerate("qkv")
    ]


def parameters(networks: list[Any]) -> Iterator[tuple[str, Tensor]]:
    """Global name and tensor of every parameter of this rank's model chunks."""
    for network in networks:
        layers = network.decoder.layers
        offset = layers[0].layer_number - 1 if len(layers) else 0
        for local, parameter in network.named_parameters():
            name = local
            if local.startswith("decoder.layers."):
                index, rest = local.removeprefix("decoder.layers.").split(".", 1)
                name = f"decoder.layers.{int(index) + offset}.{rest}"
            yield name, parameter.detach()


def shapes(shape: ArchShape) -> Shapes:
    """Name and shape of every tensor of a Hugging Face folder."""
    hidden, ffn = shape.hidden_size, shape.ffn_hidden_size
    rows = {"q": shape.num_heads * shape.head_dim, "k": shape.num_kv_heads * shape.head_dim}
    rows["v"] = rows["k"]
    layer: Shapes = {f"self_attn.{x}_proj.weight": (rows[x], hidden) for x in "qkv"}
    if shape.family == "qwen2.5":
        layer |= {f"self_attn.{x}_proj.bias": (rows[x],) for x in "qkv"}
    if shape.family == "qwen3":
        layer |= {f"self_attn.{x}_norm.weight": (shape.head_dim,) for x in "qk"}
    layer |= {
        "self_attn.o_proj.weight": (hidden, rows["q"]),
        "mlp.gate_proj.weight": (ffn, hidden),
        "mlp.up_proj.weight": (ffn, hidden),
        "mlp.down_proj.weight": (hidden, ffn),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    top: Shapes = {EMBEDDING: (shape.vocab_size, hidden), "model.norm.weight": (hidden,)}
    if not shape.tied:
        top["lm_head.weight"] = (shape.vocab_size, hidden)
    return top | {f"model.layers.{n}.{name}": size for n in range(shape.num_layers) for name, size in layer.items()}


def _whole(parameter: Tensor) -> Tensor:
    return parameter


def _half(n: int, parameter: Tensor) -> Tensor:
    return parameter.view(2, -1, *parameter.shape[1:])[n]


def _rows_of_group(start: int, stop: int, size: int, parameter: Tensor) -> Tensor:
    """Rows start:stop of every key/value group of `size` rows: [groups, stop - start, ...]."""
    return parameter.view(-1, size, *parameter.shape[1:])[:, start:stop]
