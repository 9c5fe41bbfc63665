"""Data, environments, checkpoints, loggers and the cluster of a NeMo-RL config."""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.nemo_rl.parts import switched_on
from fleming_nemo.migrate.rules import Rule, Source, always, each, lacks, same, turned, within

_DATA = "questions with a verified answer come from data.dir, which data_prep/ writes"
_LOGS = "metrics.jsonl and report.html are always written; under nemorun, exp_manager repeats them elsewhere"
_AUTOMODEL = (
    "single_rank_consolidation consolidation_timeout_minutes model_cache_dir model_repo_id is_peft peft_config is_async"
)


def _keep(value: Any, _: Source) -> int:
    return max(1, int(value))


RULES: list[Rule] = [
    always("data.max_input_seq_length", "train.seq_length less rollout.max_response; a longer prompt is refused"),
    same("data.shuffle", "data.shuffle"),
    always("data.num_workers", "the data are memory-mapped"),
    lacks(
        "data.use_multiple_dataloader",
        "grpo.mix draws from two pools",
        part=switched_on("data.use_multiple_dataloader"),
    ),
    lacks(
        "data.num_prompts_per_dataloader",
        "grpo.mix draws from two pools",
        part=switched_on("data.use_multiple_dataloader"),
    ),
    lacks("data.custom_dataloader", _DATA),
    lacks("data.prompt_file", "the prompt is fixed: question and options (data/chat.py)"),
    lacks("data.system_prompt_file", "data.system_prompt takes the text itself"),
    lacks("data.default.prompt_file", "the prompt is fixed: question and options (data/chat.py)"),
    lacks("data.default.system_prompt_file", "data.system_prompt takes the text itself"),
    *each(
        lacks,
        "data",
        "train train.* validation validation.* default default.* dataset_name prompt_file env_name",
        _DATA,
    ),
    *each(lacks, "data", "train_data_path val_data_path input_key output_key train_split val_split split", _DATA),
    *each(lacks, "data", "input_len_or_input_len_generator* num_samples seed split_validation_size", _DATA),
    *each(always, "data", "add_bos add_eos add_generation_prompt add_system_prompt", "Qwen's ChatML (data/chat.py)"),
    always("env.*.num_workers", "the verifier runs in the trainer"),
    lacks("env.*", "the verifier reads the letter of the last <answer>"),
    turned(
        "checkpointing.checkpoint_dir", "run_dir", lambda v, _: str(v), "the run directory, checkpoints among the rest"
    ),
    always("checkpointing.enabled", "checkpoints are always saved", True),
    same("checkpointing.save_period", "train.save_every", "steps"),
    turned("checkpointing.keep_top_k", "train.keep_checkpoints", _keep, "the newest ones; the best one stays besides"),
    always("checkpointing.metric_name", "the score of the evaluation in the run"),
    always("checkpointing.higher_is_better", "higher is better", True),
    lacks("checkpointing.checkpoint_must_save_by", "a job is told of its end by a signal, and saves then"),
    always("checkpointing.model_save_format", "torch_dist; `fleming export` writes safetensors"),
    always("checkpointing.save_consolidated", "`fleming export` writes a Hugging Face folder", False),
    always("checkpointing.save_optimizer", "a checkpoint is the whole run", True),
    lacks("checkpointing.ft_*", "train.save_every serves recovery too"),
    lacks("checkpointing.pretrained_checkpoint*", "model.weights takes a Hugging Face folder or a run directory"),
    *each(always, "checkpointing", "save_data_plane load_replay_buffer", "a checkpoint is the whole run"),
    *each(always, "checkpointing", _AUTOMODEL, "torch_dist; `fleming export` writes safetensors"),
    always("logger.log_dir", "RUN/logs"),
    always("logger.num_val_samples_to_print", "report.html shows rollouts"),
    always("logger.monitor_gpus", "memory and throughput are metrics"),
    always("logger.gpu_monitoring.*", "memory and throughput are metrics"),
    *[
        rule
        for name in ("wandb", "tensorboard", "mlflow", "swanlab")
        for rule in [
            always(f"logger.{name}_enabled", _LOGS, False),
            *within(switched_on(f"logger.{name}_enabled"), [lacks(f"logger.{name}*", _LOGS)]),
        ]
    ],
    same("cluster.num_nodes", "--nodes"),
    same("cluster.gpus_per_node", "--gpus-per-node"),
    always("cluster.master_port_range_*", "a free port"),
    lacks("cluster.segment_size", "which nodes a job gets is Slurm's (--slurm switches=...)"),
    always("data_plane.enabled", "rollouts stay with the ranks that train on them", False),
    *each(
        lacks,
        "data_plane",
        "impl backend storage_capacity num_storage_units claim_meta_poll_interval_s global_segment_size "
        "local_buffer_size observability*",
        "rollouts stay with the ranks that train on them",
        part=switched_on("data_plane.enabled"),
    ),
    lacks("rollout_checkpointing.*", "a checkpoint is the whole run; train.save_every"),
    lacks("rollout_recovery.*", "a run that is started again draws the rollouts of its step anew"),
    always("token_capture.enabled", "token ids go through unchanged, without a text between", False),
    lacks("token_capture.*", "token ids go through unchanged, without a text between"),
    lacks("on_policy_distillation*", "no teacher in the loop"),
    lacks("teachers*", "no teacher in the loop"),
]
