"""`trainer.*` of a NeMo 2 recipe: loop, precision and layout."""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.rules import Lost, Rule, Source, always, each, lacks, same, turned

_STRATEGY = "trainer.strategy"
_LOGS = "metrics.jsonl and report.html in the run directory are always written"


def _precision(value: Any, source: Source) -> Any:
    if source.get("trainer.plugins.fp8"):
        return "fp8"
    known = {"bf16-mixed": "bf16", "bf16": "bf16", "32": "fp32", "fp32": "fp32"}
    return known.get(str(value)) or Lost(f"{value}: ours has bf16, fp8 and fp32")


def _chunks(value: Any, _: Source) -> int:
    return int(value or 1)


def last(value: Any) -> str:
    return str(value).rpartition(".")[2]


RULES: list[Rule] = [
    always("trainer._target_", "one loop"),
    always("trainer.accelerator", "GPUs where there are enough, else the CPU for small models"),
    always("trainer.accumulate_grad_batches", "train.global_batch over the micro-batches", 1),
    same("trainer.devices", "--gpus-per-node"),
    same("trainer.num_nodes", "--nodes"),
    same("trainer.max_steps", "train.steps"),
    lacks("trainer.max_epochs", "a run ends with train.steps, however often the corpus went round"),
    lacks("trainer.max_time", "a job is told of its end by a signal, and saves then"),
    lacks(
        "trainer.limit_*", "eval.limit questions are generated at the end of the run; there is no loss on held-out text"
    ),
    lacks("trainer.val_check_interval", "SFT is evaluated at the end of the run"),
    lacks("trainer.check_val_every_n_epoch", "SFT is evaluated at the end of the run"),
    always("trainer.log_every_n_steps", "every step is logged"),
    always("trainer.use_distributed_sampler", "batches are cut by the loop", False),
    always("trainer.enable_checkpointing", "checkpoints are always saved", True),
    always("trainer.logger", _LOGS),
    same("trainer.gradient_clip_val", "optim.clip_grad"),
    lacks("trainer.callbacks*", "timing, garbage collection and overlap of communication belong to the loop"),
    turned("trainer.plugins.precision", "model.precision", _precision, "bf16-mixed: bf16; with fp8: fp8"),
    turned(
        "trainer.plugins.fp8", "model.precision", lambda v, s: _precision(s.get("trainer.plugins.precision"), s), "fp8"
    ),
    turned("trainer.plugins.fp8_recipe", "model.fp8_recipe", lambda v, _: last(v), "names alike"),
    same("trainer.plugins.num_layers_at_start_in_bf16", "model.fp8_bf16_ends", "one number for both ends"),
    same("trainer.plugins.num_layers_at_end_in_bf16", "model.fp8_bf16_ends", "one number for both ends"),
    always("trainer.plugins.grad_reduce_in_fp32", "gradients are reduced in fp32", True),
    always("trainer.plugins.autocast_enabled", "no autocast", False),
    always("trainer.plugins.*", "follows from model.precision"),
    always("trainer.plugins", "model.precision"),
    always(f"{_STRATEGY}._target_", "megatron-core"),
    same(f"{_STRATEGY}.tensor_model_parallel_size", "parallel.tp"),
    same(f"{_STRATEGY}.pipeline_model_parallel_size", "parallel.pp"),
    turned(f"{_STRATEGY}.virtual_pipeline_model_parallel_size", "parallel.vp", _chunks, "chunks; null = 1"),
    same(f"{_STRATEGY}.context_parallel_size", "parallel.cp"),
    same(f"{_STRATEGY}.sequence_parallel", "parallel.sequence_parallel"),
    always(f"{_STRATEGY}.expert_*", "the networks here are dense", 1),
    always(f"{_STRATEGY}.pipeline_dtype", "activations travel in the precision of the model"),
    always(f"{_STRATEGY}.gradient_as_bucket_view", "megatron-core's buffers", True),
    same(f"{_STRATEGY}.ddp.overlap_grad_reduce", "parallel.overlap", "one option for both"),
    same(f"{_STRATEGY}.ddp.overlap_param_gather", "parallel.overlap", "one option for both"),
    always(f"{_STRATEGY}.ddp.grad_reduce_in_fp32", "gradients are reduced in fp32", True),
    always(f"{_STRATEGY}.ddp*", "megatron-core's distributed optimizer"),
    always(f"{_STRATEGY}.ckpt_*", "torch_dist, written by all ranks"),
    *each(
        always,
        _STRATEGY,
        "fsdp setup_optimizers lazy_init no_ddp_communication_hook find_unused_parameters",
        "megatron-core",
    ),
    *each(
        always, _STRATEGY, "cluster_environment* parallel_* megatron_log_level use_tp_pp_dp_mapping", "megatron-core"
    ),
    *each(
        always,
        _STRATEGY,
        "progress_interval restore_config* save_* data_sampler* replace_progress_bar",
        "megatron-core",
    ),
    *each(
        always,
        _STRATEGY,
        "use_te_rng_tracker use_sharp ddp_parallelism deterministic* init_model_parallel",
        "megatron-core",
    ),
    lacks(f"{_STRATEGY}.num_layers_in_*", "pipeline stages are of equal size"),
]
