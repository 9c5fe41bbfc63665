"""Linear layers that compute as an fp8 recipe would, for megatron-core's layer specifications, on any device.

All three products of a layer are quantised: output = input x weight^T sums along the rows of both; the input's gradient
= grad x weight along the rows of one and the columns of the other; the weight's gradient = grad^T x input along the
columns of both.  Biases, norms, attention, embedding and output layer stay as they are, as with Transformer Engine.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.parallel.fp8_emulation import Quantisers, quantisers
from fleming_nemo.parallel.layers import block_spec

from megatron.core import tensor_parallel  # isort: skip
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules  # isort: skip
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset  # isort: skip


class Fp8Linear(torch.autograd.Function):
    """x [..., K] and w [N, K] -> [..., N], in the dtype of x; products of float8 values are summed in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_NK: Tensor, operands: Quantisers, observe: bool) -> Tensor:
        rows_TK, columns_TK = operands.input(x.reshape(-1, x.size(-1)), observe)
        rows_NK, columns_NK = operands.weight(w_NK, observe)
        ctx.save_for_backward(columns_TK, columns_NK)
        ctx.operands, ctx.observe, ctx.weight_dtype = operands, observe, w_NK.dtype
        return (rows_TK @ rows_NK.T).to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad,) = grads
        columns_TK, columns_NK = ctx.saved_tensors
        rows_TN, columns_TN = ctx.operands.grad(grad.reshape(-1, grad.size(-1)), ctx.observe)
        grad_x = (rows_TN @ columns_NK).to(grad.dtype).view(*grad.shape[:-1], -1)
        return grad_x, (columns_TN.T @ columns_TK).to(ctx.weight_dtype), None, None


class Fp8ColumnParallelLinear(tensor_parallel.ColumnParallelLinear):
    """Every tensor-parallel rank holds rows of the weight."""

    recipe: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operands = quantisers(self.recipe)

    def forward(
        self, input_: Tensor, weight: Tensor | None = None, runtime_gather_output: bool | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if self.sequence_parallel:
            x = tensor_parallel.gather_from_sequence_parallel_region(input_, group=self.tp_group)
        else:
            x = tensor_parallel.copy_to_tensor_model_parallel_region(input_, group=self.tp_group)
        out = Fp8Linear.apply(x, self.weight if weight is None else weight, self.operands, self.training)
        if self.bias is not None and not self.skip_bias_add:
            out = out + self.bias
        gather = self.gather_output if runtime_gather_output is None else runtime_gather_output
        if gather:
            out = tensor_parallel.gather_from_tensor_model_parallel_region(out, group=self.tp_group)
        return out, self.bias if self.skip_bias_add else None


class Fp8RowParallelLinear(tensor_parallel.RowParallelLinear):
    """Every tensor-parallel rank holds columns of the weight and the matching part of the input."""

    recipe: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operands = quantisers(self.recipe)

    def forward(self, input_: Tensor) -> tuple[Tensor, Tensor | None]:
        x = input_
        if not self.input_is_parallel:
            x = tensor_parallel.scatter_to_tensor_model_parallel_region(input_, group=self.tp_group)
        out = Fp8Linear.apply(x, self.weight, self.operands, self.training)
        if self.sequence_parallel:
            out = tensor_parallel.reduce_scatter_to_sequence_parallel_region(out, group=self.tp_group)
        else:
            out = tensor_parallel.reduce_from_tensor_model_parallel_region(out, group=self.tp_group)
        if self.skip_bias_add:
            return out, self.bias
        return out if self.bias is None else out + self.bias, None


@functools.cache
def linears(recipe: str) -> tuple[type[Fp8ColumnParallelLinear], type[Fp8RowParallelLinear]]:
    """Classes of one recipe: a layer specification takes only classes."""
    bases = (Fp8ColumnParallelLinear, Fp8RowParallelLinear)
    column, row = (type(f"{base.__name__}_{recipe}", (base,), {"recipe": recipe}) for base in bases)
    return column, row


def emulated_block_spec(
    config: Any, vp_stage: int | None = None, *, recipe: str, bf16_ends: int = 0
) -> TransformerBlockSubmodules:
    """`layers.block_spec` with the four linear layers of every layer but the first and last `bf16_ends` in fp8.

    Raises:
        ValueError: delayed scaling under recomputation, which would count every pass twice.
    """
    if recipe == "delayed" and config.recompute_granularity is not None:
        raise ValueError("the emulation of delayed scaling keeps no history under recomputation; set model.recompute=0")
    block = block_spec(config, vp_stage)
    layers = [_in_fp8(spec, recipe) for spec in block.layer_specs]
    first = get_transformer_layer_offset(config, vp_stage=vp_stage)
    for n, spec in enumerate(block.layer_specs):
        if not bf16_ends <= first + n < config.num_layers - bf16_ends:
            layers[n] = spec
    return TransformerBlockSubmodules(layer_specs=layers, layer_norm=block.layer_norm)


def emulated_layers(network: torch.nn.Module) -> dict[str, Quantisers]:
    """The operands of every emulated linear layer by its name in the network."""
    return {
        name: module.operands
        for name, module in network.named_modules()
        if isinstance(module, (Fp8ColumnParallelLinear, Fp8RowParallelLinear))
    }


def _in_fp8(spec: Any, recipe: str) -> Any:
    column, row = linears(recipe)
    spec = copy.deepcopy(spec)
    attention, mlp = spec.submodules.self_attention, spec.submodules.mlp
    attention.submodules.linear_qkv, attention.submodules.linear_proj = column, row
    # a ModuleSpec in megatron-core 0.16, a partial of its constructor later
    inside = mlp.keywords["submodules"] if isinstance(mlp, functools.partial) else mlp.submodules
    inside.linear_fc1, inside.linear_fc2 = column, row
    return spec
