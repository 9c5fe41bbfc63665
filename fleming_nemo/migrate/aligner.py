"""GRPO configs of NeMo-Aligner (`gpt_grpo.yaml`, `gpt_grpo_actor.yaml`), which ended in 2025."""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.models import folder_of
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, each, lacks, same, turned

NAME = "NeMo-Aligner GRPO"

_GRPO = "trainer.grpo"
_DECAYS = {"CosineAnnealing": "cosine", "WarmupPolicy": "constant", "WarmupHoldPolicy": "constant"}
_LORA = "all weights are trained; there are no adapters"
_DATA = "questions with a verified answer come from data.dir, which data_prep/ writes"
_SAMPLING = "responses are drawn from the whole distribution, which is what the objective assumes"
_VALUES = "rollouts come from the trainer or from vLLM servers (rollout.engine)"
_EXPERIMENT = "the run directory holds log, metrics and checkpoints; the same command goes on"


def base(source: Source) -> dict[str, Any]:
    """Options that no single field gives; the loss is a mean over tokens, as dapo's is."""
    normalised = source.get(f"{_GRPO}.normalize_rewards", True)
    return {"task": "grpo", "stage": "grpo_stage1", "grpo.objective": "dapo" if normalised else "dr_grpo"}


def _updates(value: Any, source: Source) -> Any:
    drawn = int(source.get(f"{_GRPO}.num_prompts_per_grpo_step") or 1) * int(
        source.get(f"{_GRPO}.samples_per_prompt") or 1
    )
    return (
        drawn // int(value)
        if drawn % int(value) == 0
        else Lost(f"{value} responses do not divide the {drawn} of a step")
    )


def _response(value: Any, source: Source) -> int:
    return min(int(value), int(source.get("model.encoder_seq_length") or value) - 1)


def _engine(value: Any, _: Source) -> Any:
    return "vllm" if value == "vllm" else Lost(f"{value}: {_VALUES}")


TABLE: list[Rule] = [
    same("trainer.num_nodes", "--nodes"),
    same("trainer.devices", "--gpus-per-node"),
    always("trainer.accelerator", "GPUs where there are enough, else the CPU for small models"),
    turned("trainer.precision", "model.precision", lambda v, _: "bf16" if "bf16" in str(v) else "fp32", "names alike"),
    lacks(f"{_GRPO}.max_epochs", "a run ends with train.steps, however often the questions went round"),
    turned(
        f"{_GRPO}.max_steps",
        "train.steps",
        lambda v, _: int(v) if int(v) > 0 else Lost("-1 goes once through the questions; set train.steps"),
        "batches of rollouts in both",
    ),
    same(f"{_GRPO}.val_check_interval", "eval.every", "steps"),
    same(f"{_GRPO}.save_interval", "train.save_every", "steps"),
    same(f"{_GRPO}.gradient_clip_val", "optim.clip_grad"),
    always(f"{_GRPO}.run_validation_step_0", "`task=evaluate` on the starting weights does it", False),
    always(f"{_GRPO}.greedy_on_validation", "a greedy pass is always reported"),
    same(f"{_GRPO}.initial_policy_kl_penalty", "grpo.kl_beta"),
    always(f"{_GRPO}.use_leave_one_out_baseline", "the mean of the whole group is the baseline", False),
    turned(
        f"{_GRPO}.normalize_rewards",
        "grpo.objective",
        lambda v, _: "dapo" if v else "dr_grpo",
        "divided by the deviation",
    ),
    same(f"{_GRPO}.num_prompts_per_grpo_step", "grpo.prompts_per_step"),
    same(f"{_GRPO}.samples_per_prompt", "grpo.rollouts_per_prompt"),
    same(f"{_GRPO}.generation_rollout_mbs", "rollout.decode_batch", "sequences decoded together"),
    always(f"{_GRPO}.prompt_micro_batch_size", "rollout.decode_batch"),
    always(f"{_GRPO}.val_prompt_micro_batch_size", "rollout.decode_batch"),
    same(f"{_GRPO}.val_num_prompts_per_grpo_step", "eval.limit", "questions"),
    same(f"{_GRPO}.val_samples_per_prompt", "eval.seeds", "answers to each question at the end of the run"),
    turned(f"{_GRPO}.inference_backend.type", "rollout.engine", _engine, "vllm: vllm"),
    always(f"{_GRPO}.inference_backend.*", _VALUES),
    lacks(f"{_GRPO}.environments.*", "the verifier is a part of the trainer"),
    lacks(f"{_GRPO}.generation_save_dir", "rollout.record keeps rollouts in the run directory"),
    lacks(f"{_GRPO}.rollout_batch_seq_length", "sequences are packed without padding where train.pack_tokens is set"),
    always(f"{_GRPO}.batch_iterator.*", "requests are always under way together"),
    *each(always, _GRPO, "model_gbs model_mbs trt_model_dir", "read from elsewhere in the file"),
    *each(always, "trainer", "logger enable_checkpointing use_distributed_sampler", "the loop's own"),
    *each(always, "trainer", "max_epochs max_steps", "read from elsewhere in the file"),
    lacks("trainer.max_time", "a job is told of its end by a signal, and saves then"),
    turned("exp_manager.explicit_log_dir", "run_dir", lambda v, _: str(v), "the run directory"),
    *each(always, "exp_manager", "exp_dir name version use_datetime_version resume_* files_to_copy", _EXPERIMENT),
    *each(always, "exp_manager", "create_* checkpoint_callback_params.* *_logger_kwargs* log_*", _EXPERIMENT),
    turned(
        "pretrained_checkpoint.restore_from_path",
        "model.weights",
        folder_of,
        "a Hugging Face folder: export the archive",
    ),
    lacks("pretrained_checkpoint.*", "model.weights"),
    same("model.micro_batch_size", "train.micro_batch", "responses"),
    turned("model.global_batch_size", "grpo.updates_per_batch", _updates, "responses an update become updates a batch"),
    same("model.tensor_model_parallel_size", "parallel.tp"),
    same("model.pipeline_model_parallel_size", "parallel.pp"),
    same("model.sequence_parallel", "parallel.sequence_parallel"),
    same("model.encoder_seq_length", "train.seq_length", "tokens of prompt and response"),
    same("model.seed", "seed"),
    lacks("model.grpo.ratio_eps", "the clip is part of grpo.objective: dr_grpo .2/.2, dapo .2/.28"),
    same("model.grpo.sampling_params.temperature", "rollout.temperature"),
    always("model.grpo.sampling_params.use_greedy", _SAMPLING, False),
    always("model.grpo.sampling_params.top_k", _SAMPLING, 0),
    always("model.grpo.sampling_params.top_p", _SAMPLING, 1, 1.0),
    always("model.grpo.sampling_params.repetition_penalty", _SAMPLING, 1, 1.0),
    always("model.grpo.sampling_params.end_strings", "a response ends with <|im_end|>"),
    *each(always, "model.grpo.sampling_params", "add_BOS all_probs compute_logprob", _SAMPLING),
    turned("model.grpo.length_params.max_length", "rollout.max_response", _response, "tokens"),
    lacks("model.grpo.length_params.min_length", _SAMPLING),
    always("model.grpo.offload_adam_states", "memory of a phase is given back before the next"),
    *each(
        always,
        "model.grpo",
        "share_dir forward_micro_batch_size generation_rollout_mbs trt_model_dir initial_policy_kl_penalty "
        "inference_backend inference_backend.*",
        "read from elsewhere in the file",
    ),
    always("model.peft.peft_scheme", _LORA, "none"),
    lacks("model.peft.*", _LORA),
    always(
        "model.optim.name", "megatron-core's distributed AdamW", "distributed_fused_adam", "mcore_distributed_optim"
    ),
    same("model.optim.lr", "optim.lr"),
    same("model.optim.weight_decay", "optim.weight_decay"),
    same("model.optim.betas", "optim.betas"),
    turned(
        "model.optim.sched.name",
        "optim.decay",
        lambda v, _: _DECAYS.get(str(v)) or Lost(f"{v}: ours has cosine, linear, wsd and constant"),
        "names alike",
    ),
    same("model.optim.sched.warmup_steps", "optim.warmup_steps"),
    lacks("model.optim.sched.constant_steps", "a decay ends with train.steps"),
    lacks("model.optim.sched.min_lr", "a decay ends at a tenth of optim.lr"),
    same("model.optim.overlap_grad_sync", "parallel.overlap", "one option for both"),
    same("model.optim.overlap_param_sync", "parallel.overlap", "one option for both"),
    *each(
        always, "model.optim", "bucket_cap_mb contiguous_grad_buffer contiguous_param_buffer", "megatron-core's buffers"
    ),
    lacks("model.data.*", _DATA),
    always("model.mcore_gpt", "megatron-core", True),
    always("model.megatron_amp_O2", "model.precision"),
    always("model.precision", "as trainer.precision"),
    always("model.max_position_embeddings", "the shape of a network is fixed by model.arch"),
    always("model.overwrite_base_config*", "the config is one file"),
    always("model.use_tp_pp_dp_mapping", "tp, then cp, dp and pp", False),
]
