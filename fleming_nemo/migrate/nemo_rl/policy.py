"""`policy.*` of a NeMo-RL config: model, lengths, precision and layout; not its optimizer or its generation."""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.models import arch_of, folder_of
from fleming_nemo.migrate.nemo_rl.parts import AUTOMODEL, length, off_megatron, on_megatron, switched_on, updates
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, each, lacks, same, turned, within

_MEGATRON = "policy.megatron_cfg"
_FP8 = f"{_MEGATRON}.fp8_cfg"
_PACKS = "sequences are packed without padding where train.pack_tokens is set"
_DENSE = "the networks here are dense"
_LORA = "all weights are trained; there are no adapters"
_FULL = "full recomputation of the layers that model.recompute counts"
_FSDP = (
    "_v2 cpu_offload custom_parallel_plan automodel_kwargs automodel_kwargs.* defer_fsdp_grad_sync moe_parallelizer* "
    "clear_cache_every_n_steps expert_parallel_size model_save_format save_consolidated single_rank_consolidation "
    "consolidation_timeout_minutes"
)
PRECISIONS = {"bfloat16": "bf16", "float32": "fp32"}


def _precision(value: Any, source: Source) -> Any:
    if on_megatron(source) and source.get(f"{_FP8}.enabled", bool(source.get(f"{_FP8}.fp8"))):
        return "fp8"
    return PRECISIONS.get(str(value)) or Lost(f"{value}: ours has bf16, fp8 and fp32")


def _updates(value: Any, source: Source) -> Any:
    drawn = int(source.get("grpo.num_prompts_per_step") or 0) * int(source.get("grpo.num_generations_per_prompt") or 0)
    if drawn % int(value):
        return Lost(f"{value} responses do not divide the {drawn} of a step; ours makes whole updates of a batch")
    return updates(source)


def _pack(value: Any, source: Source) -> int:
    return max(int(value), length(source))


def _recompute(value: Any, _: Source) -> int:
    return -1 if value else 0


def _layout(prefix: str, tp: str = "tensor_parallel_size") -> list[Rule]:
    return [
        same(f"{prefix}.{tp}", "parallel.tp"),
        same(f"{prefix}.context_parallel_size", "parallel.cp"),
        same(f"{prefix}.sequence_parallel", "parallel.sequence_parallel"),
        turned(f"{prefix}.activation_checkpointing", "model.recompute", _recompute, "true: -1, all layers; false: 0"),
        lacks(f"{prefix}.env_vars*", "the environment of the job goes to its processes as it is"),
    ]


RULES: list[Rule] = [
    turned("policy.model_name", "model.arch", arch_of, "the network's name; its weights: model.weights"),
    turned("policy.tokenizer.name", "data.tokenizer", folder_of, "a hub name becomes a folder below models/"),
    lacks("policy.tokenizer.chat_template", "one chat template, Qwen's ChatML with reasoning"),
    lacks("policy.tokenizer.chat_template_kwargs*", "one chat template, Qwen's ChatML with reasoning"),
    *each(lacks, "policy.tokenizer", "audio* video* use_processor", "text alone"),
    lacks("policy.hf_config_overrides*", "the shape of a network is fixed by model.arch"),
    turned(
        "policy.train_global_batch_size",
        "grpo.updates_per_batch",
        _updates,
        "responses an update become updates a batch",
    ),
    same("policy.train_micro_batch_size", "train.micro_batch", "responses; without packing"),
    always("policy.generation_batch_size", "rollout.decode_batch; NeMo-RL reads it for its own engine alone"),
    always(
        "policy.logprob_batch_size", "log-probabilities of old policy and reference go by the packs of the training"
    ),
    always("policy.logprob_chunk_size", "the head computes log-probabilities in chunks of its own choice"),
    same("policy.max_total_sequence_length", "train.seq_length", "tokens of prompt and response"),
    turned("policy.precision", "model.precision", _precision, "bfloat16: bf16; with fp8_cfg.enabled: fp8"),
    always("policy.offload_optimizer_for_logprob", "the optimizer stays on the GPU", False),
    always("policy.make_sequence_length_divisible_by", "`pack_multiple`: 2 * tp * cp"),
    always("policy.refit_buffer_size_gb", "weights travel in buckets of one size"),
    always("policy.megatron_recipe", "a recipe file of ours"),
    lacks("policy.reward_model_cfg*", "the verifier is a program"),
    always("policy.draft.enabled", "no draft model", False),
    *each(
        lacks,
        "policy.draft",
        "model_name loss_weight num_layers aux_layer_indices",
        "no draft model",
        part=switched_on("policy.draft.enabled"),
    ),
    lacks("policy.router_replay*", _DENSE),
    lacks("policy.quant_*", "no quantisation-aware training"),
    *[rule for prefix in AUTOMODEL for rule in within(off_megatron, _layout(prefix))],
    *[
        rule
        for prefix in AUTOMODEL
        for rule in [
            always(f"{prefix}.enabled", "megatron-core trains, whichever back end trained there"),
            always(f"{prefix}.lora_cfg.enabled", _LORA, False),
            lacks(f"{prefix}.lora_cfg.*", _LORA, part=switched_on(f"{prefix}.lora_cfg.enabled")),
            *each(
                always,
                prefix,
                _FSDP,
                "megatron-core's distributed optimizer cuts states and gradients",
                part=off_megatron,
            ),
        ]
    ],
    always(f"{_MEGATRON}.enabled", "megatron-core trains, whichever back end trained there"),
    *within(
        on_megatron,
        [
            *_layout(_MEGATRON, "tensor_model_parallel_size"),
            same(f"{_MEGATRON}.pipeline_model_parallel_size", "parallel.pp"),
            lacks(f"{_MEGATRON}.num_layers_in_*", "pipeline stages are of equal size"),
            always(f"{_MEGATRON}.pipeline_dtype", "activations travel in the precision of the model"),
            always(f"{_MEGATRON}.converter_type", "model/hf_names.py knows the families"),
            always(f"{_MEGATRON}.force_*", "weights are read from the Hugging Face folder itself"),
            always(f"{_MEGATRON}.empty_unused_memory_level", "memory of a phase is given back before the next"),
            always(f"{_MEGATRON}.recompute_granularity", _FULL, "full"),
            lacks(f"{_MEGATRON}.recompute_modules", _FULL),
            always(f"{_MEGATRON}.expert_*", _DENSE, 1),
            always(f"{_MEGATRON}.freeze_moe_router", _DENSE),
            always(f"{_MEGATRON}.moe_*", _DENSE),
            always(f"{_MEGATRON}.apply_rope_fusion", "fusions are megatron-core's own choice"),
            always(f"{_MEGATRON}.*_fusion", "fusions are megatron-core's own choice"),
            always(f"{_MEGATRON}.use_fused_*", "fusions are megatron-core's own choice"),
            always(f"{_MEGATRON}.use_linear_ce_fusion*", "the head never holds all logits"),
            always(f"{_MEGATRON}.defer_fp32_logits", "logits are cast chunk by chunk"),
            always(f"{_MEGATRON}.fp32_lm_head", "logits are cast chunk by chunk", False),
            always(f"{_MEGATRON}.mtp_num_layers", "no multi-token prediction", 0),
            always(f"{_MEGATRON}.mtp_*", "no multi-token prediction"),
            always(f"{_MEGATRON}.peft.enabled", _LORA, False),
            lacks(f"{_MEGATRON}.peft.*", _LORA, part=switched_on(f"{_MEGATRON}.peft.enabled")),
            same(
                f"{_MEGATRON}.distributed_data_parallel_config.overlap_grad_reduce",
                "parallel.overlap",
                "one option for both",
            ),
            same(
                f"{_MEGATRON}.distributed_data_parallel_config.overlap_param_gather",
                "parallel.overlap",
                "one option for both",
            ),
            lacks(f"{_MEGATRON}.distributed_data_parallel_config.grad_reduce_in_fp32", "gradients are reduced in fp32"),
            always(
                f"{_MEGATRON}.distributed_data_parallel_config.use_custom_fsdp", "megatron-core's own sharding", False
            ),
            *each(
                always,
                f"{_MEGATRON}.distributed_data_parallel_config",
                "average_in_collective data_parallel_sharding_strategy",
                "megatron-core's distributed optimizer",
            ),
            always(_FP8, "no fp8"),
            turned(
                f"{_FP8}.enabled", "model.precision", lambda _, s: _precision(s.get("policy.precision"), s), "true: fp8"
            ),
            always(f"{_FP8}.fp8", "the format goes by the recipe"),
            same(f"{_FP8}.fp8_recipe", "model.fp8_recipe"),
            always(f"{_FP8}.fp8_param", "parameters stay in bf16", False),
        ],
    ),
    always("policy.dynamic_batching.enabled", _PACKS),
    *within(
        switched_on("policy.dynamic_batching.enabled"),
        [
            turned(
                "policy.dynamic_batching.train_mb_tokens", "train.pack_tokens", _pack, "tokens of a micro-batch; packed"
            ),
            *each(always, "policy.dynamic_batching", "logprob_mb_tokens sequence_length_round", _PACKS),
        ],
    ),
    always("policy.sequence_packing.enabled", _PACKS),
    *within(
        switched_on("policy.sequence_packing.enabled"),
        [
            turned("policy.sequence_packing.train_mb_tokens", "train.pack_tokens", _pack, "tokens of a micro-batch"),
            *each(always, "policy.sequence_packing", "logprob_mb_tokens sequence_length_round algorithm", _PACKS),
        ],
    ),
]
