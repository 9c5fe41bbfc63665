"""The layers of Transformer Engine, where it and CUDA are there: megatron-core's own specification, one piece changed.

Training goes through TEDotProductAttention: fused kernels, packed sequences, context parallelism as a ring.  Generation
pads prompts of different length on the left and says so by a mask, which Transformer Engine ignores under a causal mask
type; it goes through this package's CoreAttention, as with the local layers.

Packed sequences reach Transformer Engine as they are: `PackedSeqParams(qkv_format="thd")` with int32 `cu_seqlens`.
Under context parallelism every sequence is padded to a multiple of 2 * cp, `cu_seqlens` count that padding and all
ranks' tokens, and each rank holds its two zigzag chunks of every sequence.  Nothing lies between the sequences then, so
`cu_seqlens_q_padded` is not needed; given, it has to be the same tensor object, or flash attention is ruled out.

Checkpoints of both kinds of layers are one: megatron-core saves the local norms under the names of the fused ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import extensions, layers
from fleming_nemo.parallel.layers import CoreAttention

from megatron.core.extensions.transformer_engine import HAVE_TE  # isort: skip
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec  # isort: skip
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules  # isort: skip


def available() -> bool:
    """Whether Transformer Engine's layers can run in this process."""
    return torch.cuda.is_available() and extensions.transformer_engine().usable


def block_spec(config: Any, vp_stage: int | None = None) -> TransformerBlockSubmodules:
    """The decoder block of one pipeline chunk: Transformer Engine's layers where they can run, else the local ones."""
    return (te_block_spec if available() else layers.block_spec)(config, vp_stage)


def te_block_spec(config: Any, vp_stage: int | None = None) -> TransformerBlockSubmodules:
    """The decoder block of one pipeline chunk for a TransformerConfig, like `layers.block_spec`.

    Raises:
        UserError: megatron-core does not know the names of this version and took the library for absent.
    """
    if not HAVE_TE:
        raise UserError(
            f"this megatron-core cannot use Transformer Engine {extensions.transformer_engine().version} (it imports "
            "transformer_engine.pytorch.fp8, which newer versions will not have); upgrade megatron-core, or install an "
            "older Transformer Engine"
        )
    block = get_gpt_decoder_block_spec(config, use_transformer_engine=True, vp_stage=vp_stage)
    for layer in block.layer_specs:
        attention = layer.submodules.self_attention.submodules
        if not issubclass(attention.core_attention, PaddedOrFused):  # the layers share one specification
            attention.core_attention = padded_or_fused(attention.core_attention)
    return block


class PaddedOrFused(nn.Module):
    """Core attention that leaves a mask to CoreAttention, and everything without one to a fused kernel."""

    fused_class: type[nn.Module]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.fused = self.fused_class(*args, **kwargs)
        self.padded = CoreAttention(*args, **kwargs)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Shapes as in CoreAttention."""
        attend = self.fused if attention_mask is None else self.padded
        return attend(query, key, value, attention_mask, *args, **kwargs)

    def sharded_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Nothing to save: neither kind has weights."""
        return {}


def padded_or_fused(fused: type[nn.Module]) -> type[PaddedOrFused]:
    """A class for a layer specification, which takes only classes."""
    return type("PaddedOrFused", (PaddedOrFused,), {"fused_class": fused})
