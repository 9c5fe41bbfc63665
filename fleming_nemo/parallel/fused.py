"""Norm, gate and rotation of the local layers, each with the backward pass written out.

Composed of torch's small operations these three read and write their tensors two to three times as often, which on a
CPU is a quarter of a training step.  Nothing is approximated; sums and roots are in fp32 or better.

Shapes: H hidden size, F half of what the gated layer projects to, d of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight_H: Tensor, eps: float) -> Tensor:
    """x [..., H] over its root mean square, times the weight; both products are rounded to the dtype of x."""
    return _RMSNorm.apply(x, weight_H, eps)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up [..., F] of the two halves [..., 2F]."""
    return _SwiGLU.apply(gate_up)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x [..., d]; cosines and sines of the angles [..., d / 2] are broadcast."""
    return _Rotate.apply(x, cos, sin)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_H: Tensor, eps: float) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        root = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        root = root.square_().div_(x.size(-1)).add_(eps).rsqrt_()
        normed = (wide * root).to(x.dtype)
        ctx.save_for_backward(normed, weight_H, root)
        return normed * weight_H

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        normed, weight_H, root = ctx.saved_tensors
        grad_weight_H = (grad * normed).flatten(0, -2).sum(0)
        grad_normed, wide = (grad * weight_H).to(root.dtype), normed.to(root.dtype)
        along = torch.linalg.vecdot(grad_normed, wide)[..., None].div_(-grad.size(-1))
        return grad_normed.addcmul_(wide, along).mul_(root).to(grad.dtype), grad_weight_H, None


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        both = torch.empty_like(gate_up)
        grad_gate, grad_up = both.chunk(2, -1)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=grad_gate)
        torch.mul(F.silu(gate), grad, out=grad_up)
        return both


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (a, b), (first, second) = x.chunk(2, -1), out.chunk(2, -1)
    torch.mul(a, cos, out=first).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=second).addcmul_(a, sin)
    return out
