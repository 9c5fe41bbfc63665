"""Norm, gate and rotation with their own backward passes, against the formulas and against finite differences."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fleming_nemo.parallel import fused


def numbers(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    made = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + len(shape)))
    return made.to(dtype).requires_grad_()


def test_gradients_are_those_of_finite_differences() -> None:
    x, weight = numbers(3, 2, 6), numbers(6)
    assert torch.autograd.gradcheck(lambda x, w: fused.rms_norm(x, w, 1e-5), (x, weight))
    assert torch.autograd.gradcheck(fused.swiglu, (x,))
    cos, sin = numbers(3, 1, 3, seed=1).detach(), numbers(3, 1, 3, seed=2).detach()
    assert torch.autograd.gradcheck(lambda x: fused.rotate(x, cos, sin), (x,))
    # of a tensor whose heads do not follow one another in memory
    assert torch.autograd.gradcheck(
        lambda x: fused.rotate(x.transpose(0, 1)[..., :4], cos[:, 0, :2], sin[:, 0, :2]), (x,)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_those_of_the_formulas(dtype: torch.dtype) -> None:
    x, weight = numbers(5, 2, 8, dtype=dtype), numbers(8, dtype=dtype)
    normed = (x.float() * (x.float().square().mean(-1, keepdim=True) + 1e-5).rsqrt()).to(dtype)
    torch.testing.assert_close(fused.rms_norm(x, weight, 1e-5), normed * weight)
    gate, up = x.chunk(2, -1)
    torch.testing.assert_close(fused.swiglu(x), F.silu(gate) * up)
    angles = numbers(5, 1, 4, dtype=torch.float32).detach()
    a, b = x.chunk(2, -1)
    turned = torch.complex(a.float(), b.float()) * torch.polar(torch.ones_like(angles), angles)
    tolerance = {torch.float32: 1e-6, torch.bfloat16: 3e-2}[dtype]
    got = fused.rotate(x, angles.cos(), angles.sin()).float()
    torch.testing.assert_close(got, torch.cat([turned.real, turned.imag], -1), atol=tolerance, rtol=tolerance)
    for made in (fused.rms_norm(x, weight, 1e-5), fused.swiglu(x), fused.rotate(x, angles.cos(), angles.sin())):
        assert made.dtype == dtype
        made.sum().backward()
    assert x.grad is not None and x.grad.dtype == weight.grad.dtype == dtype  # type: ignore[union-attr]
