"""Qwen2.5 and Qwen3 in plain torch, from the published description: an independent witness for the engine.

Weights are a dict of Hugging Face names.
Shapes: B sequences, T positions, N heads, H head size, D hidden size, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fleming_nemo.config.presets import ArchShape


def forward(weights: dict[str, Tensor], shape: ArchShape, tokens_BT: Tensor) -> Tensor:
    """Logits [B, T, V]."""
    x_BTD = weights["model.embed_tokens.weight"][tokens_BT]
    for layer in range(shape.num_layers):
        own = {k.split(".", 3)[3]: v for k, v in weights.items() if k.startswith(f"model.layers.{layer}.")}
        x_BTD = x_BTD + _attention(own, shape, _norm(x_BTD, own["input_layernorm.weight"], shape))
        y_BTD = _norm(x_BTD, own["post_attention_layernorm.weight"], shape)
        gate = F.silu(y_BTD @ own["mlp.gate_proj.weight"].T)
        x_BTD = x_BTD + (gate * (y_BTD @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
    head = weights["model.embed_tokens.weight" if shape.tied else "lm_head.weight"]
    return _norm(x_BTD, weights["model.norm.weight"], shape) @ head.T


def _attention(own: dict[str, Tensor], shape: ArchShape, x_BTD: Tensor) -> Tensor:
    b, t, _ = x_BTD.shape
    heads = {}
    for x in "qkv":
        projected = x_BTD @ own[f"self_attn.{x}_proj.weight"].T
        if shape.family == "qwen2.5":
            projected = projected + own[f"self_attn.{x}_proj.bias"]
        heads[x] = projected.view(b, t, -1, shape.head_dim).transpose(1, 2)
        if shape.family == "qwen3" and x != "v":
            heads[x] = _norm(heads[x], own[f"self_attn.{x}_norm.weight"], shape)
    q_BNTH, k_BNTH = _rotate(heads["q"], shape), _rotate(heads["k"], shape)
    share = shape.num_heads // shape.num_kv_heads
    k_BNTH, v_BNTH = k_BNTH.repeat_interleave(share, 1), heads["v"].repeat_interleave(share, 1)
    score = q_BNTH @ k_BNTH.transpose(2, 3) / shape.head_dim**0.5
    score = score.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -torch.inf)
    out = (score.softmax(-1) @ v_BNTH).transpose(1, 2).reshape(b, t, -1)
    return out @ own["self_attn.o_proj.weight"].T


def _rotate(x_BNTH: Tensor, shape: ArchShape) -> Tensor:
    """Rotary position embedding on the two halves of a head."""
    half = shape.head_dim // 2
    frequency = shape.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = (torch.arange(x_BNTH.size(2))[:, None] * frequency).to(x_BNTH.dtype)
    first, second = x_BNTH.split(half, -1)
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def _norm(x: Tensor, weight: Tensor, shape: ArchShape) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + shape.rms_eps) * weight
