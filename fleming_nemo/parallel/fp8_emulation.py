"""The numbers of FP8 training without the hardware: what Transformer Engine's recipes do to a matrix, in plain torch.

A matrix is scaled, rounded to float8 and scaled back, in fp32.  Every operand is needed twice, for a product that sums
along its rows and for one that sums along its columns, and the scales of blocks differ between the two; both are made
from the unrounded matrix.  The recipes are those of Transformer Engine 2.20:

- tensorwise: one fp32 scale of a whole matrix, from its largest value.
- delayed: the same from the largest value of the last forward passes, this one not among them; 1 at first.
- blockwise: a power of two for 128 neighbours along the sum; for weights, one for tiles of 128 x 128.
- mxfp8: a power of two for 32 neighbours along the sum, for all operands.

Not emulated: the accumulation of tensor cores (here fp32), attention (not quantised by these recipes either), and
speed.  A matrix that blocks do not divide has a smaller last block here, where the real recipe refuses it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fleming_nemo.parallel.precision import AMAX_HISTORY, RECIPES

from megatron.core import parallel_state  # isort: skip

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def quantised(x: Tensor, dtype: torch.dtype, scale: Tensor) -> Tensor:
    """`x` in fp32 after a trip through float8; what is too large becomes the largest value, NaN stays NaN."""
    largest = torch.finfo(dtype).max
    # clamped before the cast, which saturates in some versions of torch and gives NaN or inf in others
    return (x.float() * scale).clamp(-largest, largest).to(dtype).float() * (1 / scale)


def scale_of(amax: Tensor, dtype: torch.dtype, power_of_two: bool = False) -> Tensor:
    """What maps `amax` to the largest value of a format (rounded down to a power of two); 1 for 0 and for inf."""
    # a tensor by a tensor: torch divides a number by a tensor by way of the reciprocal, which rounds once more
    scale = torch.full_like(amax, torch.finfo(dtype).max).div(amax).clamp(max=torch.finfo(torch.float32).max)
    if power_of_two:
        _, exponent = torch.frexp(scale)
        scale = torch.ldexp(torch.ones_like(scale), exponent - 1)
    return torch.where((amax > 0) & amax.isfinite(), scale, 1.0)


def amax_of(x: Tensor) -> Tensor:
    """Largest absolute value, NaN left out."""
    return x.float().abs().nan_to_num(nan=0.0, posinf=torch.inf).amax()


def block_scale(x_RC: Tensor, dtype: torch.dtype, block: tuple[int, int]) -> Tensor:
    """The power-of-two scale of every element's block, in the shape of `x_RC`."""
    rows, columns = x_RC.shape
    high, wide = (min(size, whole) for size, whole in zip(block, x_RC.shape, strict=True))
    padded = torch.nn.functional.pad(
        x_RC.float().abs().nan_to_num(nan=0.0, posinf=torch.inf), (0, -columns % wide, 0, -rows % high)
    )
    amax = padded.view(padded.size(0) // high, high, padded.size(1) // wide, wide).amax((1, 3))
    scale = scale_of(amax, dtype, power_of_two=True)
    return scale.repeat_interleave(high, 0).repeat_interleave(wide, 1)[:rows, :columns]


@dataclass
class Statistics:
    """Sums over all that one operand has been since counting began."""

    nonzero: int = 0
    underflowed: int = 0
    """Elements that were not 0 and became 0."""
    saturated: int = 0
    """Elements that were cut: farther beyond the format's largest value than rounding reaches."""
    squared_error: float = 0.0
    squared: float = 0.0

    def add(self, x: Tensor, after: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        x = x.float()
        info = torch.finfo(dtype)
        reach = info.max + info.eps * 2 ** (torch.tensor(info.max).log2().floor().item()) / 2
        self.nonzero += int((x != 0).sum())
        self.underflowed += int(((x != 0) & (after == 0)).sum())
        self.saturated += int(((x * scale).abs() > reach).sum())
        self.squared_error += float((after - x).square().sum(dtype=torch.float64))
        self.squared += float(x.square().sum(dtype=torch.float64))

    def shares(self) -> dict[str, float]:
        """Of the elements that are not 0; the error relative to the size of the operand."""
        return {
            "underflow": self.underflowed / max(1, self.nonzero),
            "saturation": self.saturated / max(1, self.nonzero),
            "relative_error": (self.squared_error / self.squared) ** 0.5 if self.squared else 0.0,
        }


@dataclass
class Quantiser:
    """One operand of one layer: the matrix for sums along its rows, and the matrix for sums along its columns."""

    dtype: torch.dtype
    statistics: Statistics = field(default_factory=Statistics)

    def __call__(self, x_RC: Tensor, observe: bool = True) -> tuple[Tensor, Tensor]:
        """`observe` off (evaluation): nothing is counted or remembered."""
        scales = self.scales(x_RC, observe)
        rows = quantised(x_RC, self.dtype, scales[0])
        if observe:
            self.statistics.add(x_RC, rows, scales[0], self.dtype)
        return rows, rows if scales[1] is scales[0] else quantised(x_RC, self.dtype, scales[1])

    def scales(self, x_RC: Tensor, observe: bool) -> tuple[Tensor, Tensor]:
        """Broadcastable to `x_RC`; one object twice where both products use the same matrix."""
        raise NotImplementedError


class TensorScale(Quantiser):
    def scales(self, x_RC: Tensor, observe: bool) -> tuple[Tensor, Tensor]:
        scale = scale_of(amax_of(x_RC), self.dtype)
        return scale, scale


@dataclass
class DelayedScale(Quantiser):
    """The history is shared by the ranks that hold parts of one tensor, as Transformer Engine's amax reduction does."""

    history: deque[float] = field(default_factory=lambda: deque(maxlen=AMAX_HISTORY))

    def scales(self, x_RC: Tensor, observe: bool) -> tuple[Tensor, Tensor]:
        seen = torch.tensor(max(self.history, default=0.0))
        scale = scale_of(seen, self.dtype)
        if observe:
            amax = amax_of(x_RC)
            group = parallel_state.get_amax_reduction_group(with_context_parallel=True)
            torch.distributed.all_reduce(amax, torch.distributed.ReduceOp.MAX, group=group)
            self.history.append(float(amax))
        return scale, scale


@dataclass
class BlockScale(Quantiser):
    """`size` neighbours along the sum; `tiles`: size x size, which serve both products."""

    size: int = 128
    tiles: bool = False

    def scales(self, x_RC: Tensor, observe: bool) -> tuple[Tensor, Tensor]:
        if self.tiles:
            scale = block_scale(x_RC, self.dtype, (self.size, self.size))
            return scale, scale
        return block_scale(x_RC, self.dtype, (1, self.size)), block_scale(x_RC, self.dtype, (self.size, 1))


@dataclass
class Quantisers:
    """The three operands of a linear layer."""

    input: Quantiser
    weight: Quantiser
    grad: Quantiser
    """Gradient of the layer's output."""

    def reset(self) -> None:
        """Start counting anew; what delayed scaling remembers stays."""
        for operand in (self.input, self.weight, self.grad):
            operand.statistics = Statistics()

    def statistics(self) -> dict[str, Statistics]:
        return {"input": self.input.statistics, "weight": self.weight.statistics, "grad": self.grad.statistics}


def quantisers(recipe: str) -> Quantisers:
    """Those of a recipe of `precision.RECIPES`, with the format for gradients that it has there."""
    backward = E5M2 if RECIPES[recipe].format == "hybrid" else E4M3
    make: dict[str, Callable[[torch.dtype], Quantiser]] = {
        "tensorwise": TensorScale,
        "delayed": DelayedScale,
        "blockwise": BlockScale,
        "mxfp8": lambda dtype: BlockScale(dtype, size=32),
    }
    weight = BlockScale(E4M3, tiles=True) if recipe == "blockwise" else make[recipe](E4M3)
    return Quantisers(make[recipe](E4M3), weight, make[recipe](backward))
