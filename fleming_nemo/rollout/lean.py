"""Decoding on a CPU: one new token for every sequence, straight through the weights of the local layers.

megatron-core's forward pass costs a CPU more time between its kernels than in them when there is one token a sequence.
This is the same computation on the same parameters, in place: nothing is copied or converted.  Keys and values of a
prompt are kept once, and all its responses attend to them in one matrix product.

Shapes: A sequences still running, P prompts, S slots (the most sequences of one prompt), K prompt positions, R response
positions, H hidden size; of this tensor-parallel rank g key/value heads with r query heads each, d of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fleming_nemo.parallel import groups
from fleming_nemo.parallel.layers import CoreAttention

from megatron.core import tensor_parallel  # isort: skip

_FIRST = 64
"""Response positions that there is room for at first; the room doubles when it is full."""


@dataclass(frozen=True)
class _Layer:
    """Parameters of a layer; None where the architecture has none."""

    norm_H: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norm_hd: Tensor | None
    proj: Tensor
    mlp_norm_H: Tensor
    gate_up: Tensor
    down: Tensor

    @classmethod
    def of(cls, layer: Any) -> _Layer:
        attention, mlp = layer.self_attention, layer.mlp
        qk_norm = None
        if getattr(attention.q_layernorm, "weight", None) is not None:  # otherwise an identity
            heads = attention.num_attention_heads_per_partition // attention.num_query_groups_per_partition
            qk_norm = torch.stack([attention.q_layernorm.weight] * heads + [attention.k_layernorm.weight])
        return cls(
            layer.input_layernorm.weight, attention.linear_qkv.weight, attention.linear_qkv.bias, qk_norm,
            attention.linear_proj.weight, layer.pre_mlp_layernorm.weight, mlp.linear_fc1.weight, mlp.linear_fc2.weight,
        )  # fmt: skip


def knows(network: Any) -> bool:
    """Whether all layers are those of `parallel.layers`, on a CPU, in whole key/value heads."""
    linear = (tensor_parallel.ColumnParallelLinear, tensor_parallel.RowParallelLinear)
    return (
        groups.device().type == "cpu"
        and network.config.num_query_groups >= groups.current().tp
        and all(
            type(layer.self_attention.core_attention) is CoreAttention
            and type(part) in linear
            for layer in network.decoder.layers
            for part in (
                layer.self_attention.linear_qkv, layer.self_attention.linear_proj,
                layer.mlp.linear_fc1, layer.mlp.linear_fc2,
            )
        )
    )  # fmt: skip


class LeanDecoder:
    """The running sequences of one batch, after their prompts.

    Args:
        network: this rank's GPTModel.
        prefilled: keys and values of the prompts by layer number, rotated, [K, P, g, d] each.
        valid_PK: True where a prompt has a token; it is padded on the left.
        prompt_A: which prompt each sequence answers, ascending.
    """

    def __init__(
        self, network: Any, prefilled: dict[int, tuple[Tensor, Tensor]], valid_PK: Tensor, prompt_A: np.ndarray
    ) -> None:
        self._network = network
        self._layers = [_Layer.of(layer) for layer in network.decoder.layers]
        config = network.config
        self._eps, self._tp = config.layernorm_epsilon, groups.current().tp
        width, _, self._groups, self._d = prefilled[1][0].shape
        self._r = config.num_attention_heads // config.num_query_groups
        self._width, self._length = width, 0
        pairs = [prefilled[n + 1] for n in range(len(self._layers))]
        self._prompt_keys = [k.permute(1, 2, 3, 0).contiguous() for k, _ in pairs]  # [P, g, d, K]
        self._prompt_values = [v.permute(1, 2, 0, 3).contiguous() for _, v in pairs]  # [P, g, K, d]
        self._hidden_PK = None if bool(valid_PK.all()) else torch.where(valid_PK, 0.0, -torch.inf)
        room = (len(prompt_A), self._groups, _FIRST, self._d)
        self._own = [tuple(x.new_empty(room) for x in pair) for pair in pairs]
        self._rotations(_FIRST)
        self._place(prompt_A)

    def _place(self, prompt_A: np.ndarray) -> None:
        """Give every sequence a slot of its prompt's, where not all prompts have equally many."""
        prompts, row_A, count_P = np.unique(prompt_A, return_inverse=True, return_counts=True)
        self._prompt_A, self._count, self._slots = row_A, len(prompts), int(count_P.max())
        first_A = (np.cumsum(count_P) - count_P)[row_A]
        slot_A = row_A * self._slots + np.arange(len(row_A)) - first_A
        self._slot_A = None if (count_P == self._slots).all() else torch.from_numpy(slot_A)
        self._masked_A = None if self._hidden_PK is None else self._hidden_PK[prompts]
        if len(prompts) < len(self._prompt_keys[0]):
            kept = torch.from_numpy(prompts)
            self._prompt_keys = [x.index_select(0, kept) for x in self._prompt_keys]
            self._prompt_values = [x.index_select(0, kept) for x in self._prompt_values]
            self._hidden_PK = self._masked_A
        if self._masked_A is not None:
            self._masked_A = self._masked_A[torch.from_numpy(row_A)][:, None, None]

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences only, in ascending order."""
        self._own = [tuple(x.index_select(0, rows) for x in pair) for pair in self._own]
        self._place(self._prompt_A[rows.numpy()])

    def step(self, token_A: Tensor) -> Tensor:
        """Logits [A, V] after one more token of each sequence, gathered over the tensor-parallel ranks."""
        if self._length == self._own[0][0].size(2):
            self._own = [tuple(torch.cat([x, torch.empty_like(x)], 2) for x in pair) for pair in self._own]
            self._rotations(2 * self._length)
        cos, sin = self._cos[self._length], self._sin[self._length]
        x_AH = self._network.embedding.word_embeddings(token_A)
        for number, layer in enumerate(self._layers):
            out_AH = F.linear(self._attention(number, layer, self._normed(x_AH, layer.norm_H), cos, sin), layer.proj)
            x_AH = x_AH + self._summed(out_AH)
            gate, up = F.linear(self._normed(x_AH, layer.mlp_norm_H), layer.gate_up).chunk(2, -1)
            x_AH = x_AH + self._summed(F.linear(F.silu(gate).mul_(up), layer.down))
        self._length += 1
        x_AH = self._normed(x_AH, self._network.decoder.final_layernorm.weight)
        tied = self._network.share_embeddings_and_output_weights
        head = self._network.shared_embedding_or_output_weight() if tied else self._network.output_layer.weight
        logits_AV = F.linear(x_AH, head)
        return logits_AV if self._tp == 1 else tensor_parallel.gather_from_tensor_model_parallel_region(logits_AV)

    def _rotations(self, room: int) -> None:
        """Cosines and sines [R, r + 1, d / 2] of the first positions; for queries times the scale of the softmax."""
        angles_Rd = self._network.rotary_pos_emb(self._width + room)[self._width :, 0, 0, : self._d // 2]
        scale = torch.full((self._r + 1, 1), self._d**-0.5)
        scale[-1] = 1
        dtype = self._own[0][0].dtype
        self._cos, self._sin = ((x[:, None] * scale).to(dtype) for x in (angles_Rd.cos(), angles_Rd.sin()))

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        """Root-mean-square norm over the last dimension, in fp32."""
        y = x.float()
        root = torch.linalg.vector_norm(y, dim=-1, keepdim=True).square_().div_(y.size(-1)).add_(self._eps).rsqrt_()
        return (y * root).to(x.dtype).mul_(weight)

    def _summed(self, x: Tensor) -> Tensor:
        if self._tp > 1:
            torch.distributed.all_reduce(x, group=groups.tp_group())
        return x

    def _attention(self, number: int, layer: _Layer, x_AH: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[A, g * r * d]: every sequence over its prompt and over what it has said."""
        count, half, r, d = len(x_AH), self._d // 2, self._r, self._d
        mixed = F.linear(x_AH, layer.qkv, layer.qkv_bias).view(count, self._groups, r + 2, d)
        raw = mixed[:, :, : r + 1]
        if layer.qk_norm_hd is not None:
            raw = self._normed(raw, layer.qk_norm_hd)
        a, b = raw[..., :half], raw[..., half:]
        turned = torch.cat([(a * cos).addcmul_(b, sin, value=-1), (b * cos).addcmul_(a, sin)], -1)
        query = turned[:, :, :r]
        keys, values = self._own[number]
        keys[:, :, self._length], values[:, :, self._length] = turned[:, :, r], mixed[:, :, r + 1]
        keys, values = (x.flatten(0, 1)[:, : self._length + 1] for x in (keys, values))
        of_prompt = self._per_sequence(torch.bmm(self._per_prompt(query), self._prompt_keys[number].flatten(0, 1)))
        if self._masked_A is not None:
            of_prompt = of_prompt + self._masked_A
        own = torch.bmm(query.reshape(-1, r, d), keys.transpose(1, 2)).view(count, self._groups, r, -1)
        weight = torch.cat([of_prompt, own], -1).float().softmax(-1).to(x_AH.dtype)
        of_prompt, own = weight[..., : self._width], weight[..., self._width :]
        out = torch.bmm(own.flatten(0, 1), values).view(count, self._groups, r, d)
        seen = torch.bmm(self._per_prompt(of_prompt), self._prompt_values[number].flatten(0, 1))
        return (out + self._per_sequence(seen)).flatten(1)

    def _per_prompt(self, x: Tensor) -> Tensor:
        """[A, g, r, n] -> [P * g, S * r, n]."""
        if self._slot_A is not None:
            x = x.new_zeros(self._count * self._slots, *x.shape[1:]).index_copy_(0, self._slot_A, x)
        return (
            x.unflatten(0, (self._count, self._slots))
            .transpose(1, 2)
            .reshape(self._count * self._groups, -1, x.size(-1))
        )

    def _per_sequence(self, x: Tensor) -> Tensor:
        """[P * g, S * r, n] -> [A, g, r, n]."""
        x = x.view(self._count, self._groups, self._slots, self._r, -1).transpose(1, 2).flatten(0, 1)
        return x if self._slot_A is None else x.index_select(0, self._slot_A)
