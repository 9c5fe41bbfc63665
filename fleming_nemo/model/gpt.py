"""Build this rank's part of a Qwen2.5-, Qwen3- or Llama-shaped GPTModel."""

from __future__ import annotations

from typing import Any

import torch

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.config.schema import ModelConfig, ParallelConfig
from fleming_nemo.model import head
from fleming_nemo.parallel import groups, precision  # first: groups switches the CPU backend on

from megatron.core.models.gpt import GPTModel  # isort: skip
from megatron.core.transformer import TransformerConfig  # isort: skip
from fleming_nemo.parallel import layers  # isort: skip
from fleming_nemo.parallel.te_layers import block_spec  # isort: skip


def transformer_config(shape: ArchShape, model: ModelConfig, parallel: ParallelConfig) -> TransformerConfig:
    """megatron-core's description of the network; fusions that need CUDA extensions are off."""
    bf16 = model.precision != "fp32"
    own_layers = shape.num_layers // (parallel.pp * parallel.vp)
    recomputed = own_layers if model.recompute == -1 else model.recompute
    return TransformerConfig(
        num_layers=shape.num_layers,
        hidden_size=shape.hidden_size,
        ffn_hidden_size=shape.ffn_hidden_size,
        num_attention_heads=shape.num_heads,
        num_query_groups=shape.num_kv_heads,
        kv_channels=shape.head_dim,
        qk_layernorm=shape.family == "qwen3",
        add_qkv_bias=shape.family == "qwen2.5",
        add_bias_linear=False,
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        normalization="RMSNorm",
        layernorm_epsilon=shape.rms_eps,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        bf16=bf16,
        params_dtype=torch.bfloat16 if bf16 else torch.float32,
        pipeline_dtype=torch.bfloat16 if bf16 else torch.float32,
        tensor_model_parallel_size=parallel.tp,
        pipeline_model_parallel_size=parallel.pp,
        virtual_pipeline_model_parallel_size=parallel.vp if parallel.vp > 1 else None,
        context_parallel_size=parallel.cp,
        sequence_parallel=parallel.sequence_parallel,
        recompute_granularity="full" if recomputed else None,
        recompute_method="block" if recomputed else None,
        recompute_num_layers=recomputed or None,
        # the usual 0.02 suits a width of some thousands; a narrow network with it hardly attends to anything at first
        init_method_std=shape.hidden_size**-0.5,
        # weights drawn on the CPU from one stream do not depend on the tensor-parallel size
        use_cpu_initialization=True,
        gradient_accumulation_fusion=False,
        masked_softmax_fusion=False,
        bias_dropout_fusion=False,
        bias_activation_fusion=False,
        apply_rope_fusion=False,
        persist_layer_norm=False,
        # With two pipeline ranks the previous and the next peer of the interleaved schedule are one rank, and batched
        # sends and receives between them get mixed up without an error.
        overlap_p2p_comm=parallel.vp > 1,
        batch_p2p_comm=parallel.vp == 1,
        batch_p2p_sync=False,
        deterministic_mode=torch.are_deterministic_algorithms_enabled(),  # `train.deterministic`
        # the loss function returns (sum, count); gradients are divided by the count of the whole batch
        calculate_per_token_loss=True,
        **precision.fp8_settings(model),
    )


def build(shape: ArchShape, model: ModelConfig, parallel: ParallelConfig) -> list[Any]:
    """This rank's part of the network, with random weights of the current seed, on this rank's device.

    One GPTModel; under the interleaved pipeline schedule one for each of `parallel.vp` chunks.
    """
    layout = groups.current()
    precision.check_precision(model, precision.this_device())
    config = transformer_config(shape, model, parallel)
    chunks = []
    for chunk in range(parallel.vp):
        stage = chunk if parallel.vp > 1 else None
        network = GPTModel(
            config=config,
            transformer_layer_spec=block_spec(config, stage),
            vocab_size=shape.padded_vocab_size(parallel.tp),
            max_sequence_length=shape.max_positions,
            pre_process=layout.first_stage and chunk == 0,
            post_process=layout.last_stage and chunk == parallel.vp - 1,
            parallel_output=True,
            share_embeddings_and_output_weights=shape.tied,
            position_embedding_type="rope",
            rotary_base=shape.rope_theta,
            vp_stage=stage,
        )
        head.install(network)
        layers.install(network)
        chunks.append(network.to(groups.device()))
    return chunks
