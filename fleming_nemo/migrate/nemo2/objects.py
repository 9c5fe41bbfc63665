"""Model, data, optimizer, logs and resumption of a NeMo 2 recipe."""

from __future__ import annotations

import math
from typing import Any

from fleming_nemo.migrate.models import arch_of, folder_of
from fleming_nemo.migrate.nemo2.trainer import last
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, each, lacks, same, turned

_ADAM = "optim.config"
_SCHEDULE = "optim.lr_scheduler"
_LORA = "all weights are trained; there are no adapters"
_FUSED = "fusions are megatron-core's own choice"
_LOGS = "metrics.jsonl and report.html are always written; under nemorun, exp_manager repeats them elsewhere"
_DATA = "chains come from data.dir, which data_prep/ writes"
DECAYS = {
    "CosineAnnealingScheduler": "cosine",
    "WarmupHoldPolicyScheduler": "constant",
    "WarmupPolicyScheduler": "constant",
}


def _decay(value: Any, _: Source) -> Any:
    return DECAYS.get(last(value)) or Lost(f"{last(value)}: ours has cosine, linear, wsd and constant")


def _batch(value: Any, source: Source) -> Any:
    if _packed(source):
        return Lost(
            f"{value} packs an update; ours counts sequences, packed or not: set train.global_batch to their number"
        )
    return int(value)


def _packed(source: Source) -> bool:
    return (source.get("data.packed_sequence_specs.packed_sequence_size") or 0) > 0


def _betas(_: Any, source: Source) -> list[float]:
    return [float(source.get(f"{_ADAM}.adam_beta1", 0.9)), float(source.get(f"{_ADAM}.adam_beta2", 0.95))]


def _ends_alike(value: Any, source: Source) -> bool:
    return math.isclose(float(value), 0.1 * float(source.get(f"{_ADAM}.lr") or 0), rel_tol=0.01)


def _folder(_: Any, source: Source) -> str:
    parent = source.get("log.log_dir") or source.get("log.dir") or "runs"
    return f"{str(parent).rstrip('/')}/{source.get('log.name') or 'default'}"


def _recompute(_: Any, source: Source) -> Any:
    if source.get("model.config.recompute_granularity") != "full":
        return Lost("ours recomputes whole layers")
    uniform = source.get("model.config.recompute_method") == "uniform"
    return -1 if uniform else int(source.get("model.config.recompute_num_layers") or 0)


RULES: list[Rule] = [
    always("_target_", "task=sft"),
    always("_partial_", "a recipe is a function that returns a config"),
    always("model._target_", "model.arch"),
    turned("model.config._target_", "model.arch", arch_of, "the network's name"),
    same("model.config.seq_length", "train.seq_length", "tokens"),
    *[
        turned(
            f"model.config.recompute_{key}", "model.recompute", _recompute, "layers of each pipeline chunk; uniform: -1"
        )
        for key in ("granularity", "method", "num_layers")
    ],
    always("model.config.*_fusion*", _FUSED),
    always("model.config.enable_cuda_graph", "no CUDA graphs in the training", False),
    lacks("model.config.*", "the shape of a network is fixed by model.arch"),
    lacks("model.model_transform*", _LORA),
    always("model.tokenizer*", "data.tokenizer"),
    lacks("model.*", "the shape of a network is fixed by model.arch"),
    lacks("peft*", _LORA),
    lacks("model_transform*", _LORA),
    always("tokenizer*", "data.tokenizer"),
    turned("data.global_batch_size", "train.global_batch", _batch, "sequences an update; packs, where NeMo packs"),
    same("data.micro_batch_size", "train.micro_batch", "sequences; without packing"),
    same("data.seq_length", "train.seq_length", "tokens"),
    turned(
        "data.packed_sequence_specs.packed_sequence_size",
        "train.pack_tokens",
        lambda v, _: max(0, int(v)),
        "tokens of a pack; -1 = 0 = no packing",
    ),
    always("data.packed_sequence_specs*", "packs are made in the loop"),
    always("data.tokenizer*", "data.tokenizer"),
    always("data.num_workers", "the data are memory-mapped"),
    always("data.persistent_workers", "the data are memory-mapped"),
    always("data.pin_memory", "the data are memory-mapped"),
    same("data.seed", "seed"),
    lacks("data*", _DATA),
    always(f"{_ADAM}._target_", "megatron-core's optimizer"),
    always(f"{_ADAM}.optimizer", "AdamW", "adam"),
    same(f"{_ADAM}.lr", "optim.lr"),
    same(f"{_ADAM}.weight_decay", "optim.weight_decay"),
    turned(f"{_ADAM}.adam_beta1", "optim.betas", _betas, "both in one list"),
    turned(f"{_ADAM}.adam_beta2", "optim.betas", _betas, "both in one list"),
    always(f"{_ADAM}.adam_eps", "1e-8", 1e-8),
    same(f"{_ADAM}.clip_grad", "optim.clip_grad"),
    always(f"{_ADAM}.use_distributed_optimizer", "always, over the data-parallel ranks", True),
    always(f"{_ADAM}.bf16", "by model.precision"),
    always(f"{_ADAM}.fp16", "bf16, fp8 or fp32", False),
    always(f"{_ADAM}.params_dtype", "master weights are fp32"),
    lacks(f"{_ADAM}.*", "megatron-core's optimizer with fp32 states"),
    turned(f"{_SCHEDULE}._target_", "optim.decay", _decay, "by the class of the schedule"),
    same(f"{_SCHEDULE}.warmup_steps", "optim.warmup_steps"),
    always(f"{_SCHEDULE}.constant_steps", "a decay ends with train.steps", 0),
    always(f"{_SCHEDULE}.max_steps", "a decay ends with train.steps"),
    always(f"{_SCHEDULE}.min_lr", "a decay ends at a tenth of optim.lr", holds=_ends_alike),
    *each(always, _SCHEDULE, "interval frequency monitor", "by steps"),
    always("optim._target_", "megatron-core's optimizer"),
    lacks("optim.*", "one rate for all weights"),
    *[turned(f"log.{key}", "run_dir", _folder, "LOG_DIR/NAME") for key in ("log_dir", "dir", "name")],
    same("log.ckpt.every_n_train_steps", "train.save_every", "steps"),
    turned(
        "log.ckpt.save_top_k",
        "train.keep_checkpoints",
        lambda v, _: max(1, int(v)),
        "the newest ones; the best one stays besides",
    ),
    always("log.ckpt.*", "checkpoints are whole runs; the newest ones and the best one stay"),
    always("log._target_", "the run directory"),
    lacks("log.*", _LOGS),
    turned("resume.restore_config.path", "model.weights", folder_of, "nemo://NAME becomes a folder below models/"),
    always("resume.resume_if_exists", "the same command on the same directory goes on", True),
    always("resume.resume_ignore_no_checkpoint", "without a checkpoint a run begins", True),
    *each(
        always,
        "resume",
        "_target_ restore_config restore_config.* resume_from_directory resume_from_path resume_past_end "
        "adapter_path import_path",
        "the same command on the same directory goes on",
    ),
]
