"""Layer specification of the GPT block, without Transformer Engine: one definition for CPU and GPU.

Two pieces replace megatron-core's local modules: an RMSNorm that may be cut along the sequence, and a core attention on
torch's scaled_dot_product_attention that knows context parallelism and left-padded key/value caches.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer.mlp import MLP
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from torch import Tensor, nn

from fleming_nemo.parallel import cpu_backend, fused
from fleming_nemo.parallel.shared_prompts import SharedPrompts, rotated_by_position


class RMSNorm(nn.Module):
    """Root-mean-square norm computed in fp32, its weight marked for the sequence-parallel gradient all-reduce."""

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-6, **_: Any) -> None:
        super().__init__()
        device = torch.cuda.current_device()
        self.weight = nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype, device=device))
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return fused.rms_norm(x, self.weight, self.eps)


class GatedMLP(MLP):
    """megatron-core's two linear layers with SwiGLU between them, without biases."""

    def forward(self, hidden_states: Tensor, per_token_scale: None = None, **_: Any) -> tuple[Tensor, None]:
        """[s, b, h] -> [s, b, h]."""
        return self.linear_fc2(fused.swiglu(self.linear_fc1(hidden_states)[0]))


class _AllGather(torch.autograd.Function):
    """Stack a tensor of all ranks; the gradient of each rank's part is summed over the ranks that used it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        parts = [torch.empty_like(x) for _ in range(group.size())]
        torch.distributed.all_gather(parts, x.contiguous(), group=group)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous()
        torch.distributed.all_reduce(grad, group=ctx.group)
        return grad[ctx.group.rank()], None


class CoreAttention(nn.Module):
    """Causal grouped-query attention.

    Shapes as in megatron-core: query [sq, b, n, d], key and value [sk, b, g, d], result [sq, b, n*d].
    `attention_mask` [b, sk_max], True where a key is a real token, is given only in generation, where prompts of
    different length are padded on the left.

    Packed sequences (`packed_seq_params`) come without the batch dimension: [t, n, d] in, [t, n*d] out.  No token sees
    another sequence than its own and, where `shared_prompts` takes its prompt out of it, that prompt.  Under context
    parallelism every sequence is cut in zigzag chunks by itself.
    """

    def __init__(
        self,
        config: Any,
        layer_number: int,
        attn_mask_type: Any,
        attention_type: str,
        attention_dropout: float | None = None,
        softmax_scale: float | None = None,
        cp_comm_type: str | None = None,
        pg_collection: Any = None,
        **_: Any,
    ) -> None:
        super().__init__()
        self.scale = softmax_scale
        self.cp_group = pg_collection.cp if config.context_parallel_size > 1 else None

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        attn_mask_type: Any = None,
        attention_bias: Tensor | None = None,
        packed_seq_params: Any = None,
        **_: Any,
    ) -> Tensor:
        if isinstance(packed_seq_params, SharedPrompts):
            return packed_seq_params.attend(query, key, value, self.scale).flatten(1)
        if packed_seq_params is not None:
            return self._packed(query, key, value, packed_seq_params.cu_seqlens_q)
        mask: Tensor | None = None
        if self.cp_group is not None:
            mask = zigzag_mask(query.size(0), self.cp_group.rank(), self.cp_group.size(), query.device)
            key, value = self._gather_sequence(key), self._gather_sequence(value)
        elif attention_mask is not None:
            mask = left_padded_mask(attention_mask[:, : key.size(0)], query.size(0))
        q, k, v = (x.permute(1, 2, 0, 3) for x in (query, key, value))
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=self.scale, enable_gqa=True
        )
        return out.permute(2, 0, 1, 3).reshape(query.size(0), query.size(1), -1)

    def _packed(self, query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor) -> Tensor:
        """Each sequence by itself: exact work, and the fused causal kernel wherever the sequence is whole."""
        cp, rank = (1, 0) if self.cp_group is None else (self.cp_group.size(), self.cp_group.rank())
        lengths = [n // cp for n in cu_seqlens.diff().tolist()]  # of this rank's share
        parts = zip(query.split(lengths), *(self._sequences(x, lengths) for x in (key, value)), strict=True)
        outputs = []
        for q, k, v in parts:
            mask = zigzag_mask(q.size(0), rank, cp, q.device) if cp > 1 else None
            q, k, v = (x.transpose(0, 1).unsqueeze(0) for x in (q, k, v))
            out = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=self.scale, enable_gqa=True
            )
            outputs.append(out[0].transpose(0, 1))
        return torch.cat(outputs).flatten(1)

    def _sequences(self, x: Tensor, lengths: list[int]) -> list[Tensor]:
        """Whole sequences [n, ...] in order, from this rank's share [t, ...] of each of them."""
        if self.cp_group is None:
            return list(x.split(lengths))
        return [_in_order(part) for part in _AllGather.apply(x, self.cp_group).split(lengths, 1)]

    def _gather_sequence(self, x: Tensor) -> Tensor:
        """[s/cp, ...] in zigzag chunks -> [s, ...] in sequence order."""
        return _in_order(_AllGather.apply(x, self.cp_group))


def _in_order(parts: Tensor) -> Tensor:
    """[cp, s/cp, ...]: every rank's two zigzag chunks -> [s, ...] in sequence order."""
    half = parts.size(1) // 2
    return torch.cat([*parts[:, :half], *reversed(list(parts[:, half:]))])


def zigzag_mask(local: int, rank: int, size: int, device: torch.device) -> Tensor:
    """Causal mask [local, local * size] of the chunks `rank` and `2 * size - 1 - rank` of a sequence."""
    half = local // 2
    step = torch.arange(half, device=device)
    positions = torch.cat([step + rank * half, step + (2 * size - 1 - rank) * half])
    return positions[:, None] >= torch.arange(local * size, device=device)[None, :]


def left_padded_mask(valid_bk: Tensor, num_queries: int) -> Tensor:
    """Mask [b, 1, q, k] for the last `num_queries` of k positions: causal, and never onto padding.

    A padding query may see itself: a row without any key would be NaN.
    """
    num_keys = valid_bk.size(1)
    causal = torch.ones(num_queries, num_keys, dtype=torch.bool, device=valid_bk.device).tril(num_keys - num_queries)
    if num_queries == 1:
        return valid_bk[:, None, None, :]
    itself = torch.eye(num_queries, num_keys, dtype=torch.bool, device=valid_bk.device)
    return (valid_bk[:, None, None, :] & causal) | itself


def block_spec(config: Any, vp_stage: int | None = None) -> TransformerBlockSubmodules:
    """The decoder block of one pipeline chunk for a TransformerConfig."""
    spec = get_gpt_layer_local_spec(qk_layernorm=config.qk_layernorm, normalization="RMSNorm")
    layer: Any = spec.submodules
    layer.input_layernorm = layer.pre_mlp_layernorm = RMSNorm
    layer.self_attention.module = rotated_by_position(cpu_backend.self_attention())
    attention = layer.self_attention.submodules
    if config.qk_layernorm:
        attention.q_layernorm = attention.k_layernorm = RMSNorm
    attention.core_attention = CoreAttention
    # the block's own final norm refuses sequence parallelism, so it is replaced as well
    num_layers = get_num_layers_to_build(config, vp_stage=vp_stage)
    return TransformerBlockSubmodules(layer_specs=[spec] * num_layers, layer_norm=RMSNorm)


def install(network: Any) -> None:
    """Give the local layers of a GPTModel their gated layer; others stay as they are.

    megatron-core builds an MLP in its own way only when the specification names exactly that class.
    """
    for layer in network.decoder.layers:
        if type(layer.mlp) is MLP and type(layer.self_attention.core_attention) is CoreAttention:
            layer.mlp.__class__ = GatedMLP  # the same modules, weights and hooks included
