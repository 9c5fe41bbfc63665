"""Optimizer and schedule of a NeMo-RL config, which stand in another place for each back end."""

from __future__ import annotations

import math
from typing import Any

from fleming_nemo.migrate.models import folder_of
from fleming_nemo.migrate.nemo_rl.parts import off_megatron, on_megatron, steps
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, lacks, same, turned, within

DECAYS = {"constant": "constant", "cosine": "cosine", "linear": "linear", "WSD": "wsd"}
_ADAM = "policy.megatron_cfg.optimizer"
_SCHEDULE = "policy.megatron_cfg.scheduler"
_WARMUP = "optimizer iterations become steps: each step makes grpo.updates_per_batch of them"


def base(source: Source) -> dict[str, Any]:
    """Options that no single field gives."""
    options: dict[str, Any] = {"task": "grpo", "stage": "grpo_stage1"}
    if name := source.get("policy.model_name"):
        options |= {"model.weights": folder_of(name), "data.tokenizer": folder_of(name)}
    if off_megatron(source):
        options["optim.decay"] = "constant"
    return options


def _decay(value: Any, _: Source) -> Any:
    return DECAYS.get(str(value)) or Lost(f"{value}: ours has {', '.join(DECAYS.values())}")


def _ends_alike(value: Any, source: Source) -> bool:
    constant = source.get(f"{_SCHEDULE}.lr_decay_style") == "constant"
    return constant or math.isclose(float(value), 0.1 * float(source.get(f"{_ADAM}.lr") or 0), rel_tol=0.01)


def _betas(_: Any, source: Source) -> list[float]:
    return [float(source.get(f"{_ADAM}.adam_beta1", 0.9)), float(source.get(f"{_ADAM}.adam_beta2", 0.999))]


def _torch_schedule(value: Any, source: Source) -> Any:
    """Warm-up of a list of torch schedulers, if it is what ours can do: linear, then constant."""
    stages = value if isinstance(value, list) else [value]
    named = {
        str(s["name"]).rpartition(".")[2]: s.get("kwargs", {}) for s in stages if isinstance(s, dict) and "name" in s
    }
    if not set(named) <= {"LinearLR", "ConstantLR"}:
        return Lost(f"{', '.join(named)}: ours follows a linear warm-up by {', '.join(DECAYS.values())}")
    return steps(int(named.get("LinearLR", {}).get("total_iters", 0)), source)


RULES: list[Rule] = [
    *within(
        on_megatron,
        [
            always(f"{_ADAM}.optimizer", "AdamW", "adam"),
            same(f"{_ADAM}.lr", "optim.lr", "this one counts under Megatron, not policy.optimizer.kwargs.lr"),
            always(f"{_ADAM}.min_lr", "a decay ends at a tenth of optim.lr", holds=_ends_alike),
            same(f"{_ADAM}.weight_decay", "optim.weight_decay"),
            turned(f"{_ADAM}.adam_beta1", "optim.betas", _betas, "both in one list"),
            turned(f"{_ADAM}.adam_beta2", "optim.betas", _betas, "both in one list"),
            always(f"{_ADAM}.adam_eps", "1e-8", 1e-8),
            always(f"{_ADAM}.sgd_momentum", "of another optimizer"),
            always(f"{_ADAM}.bf16", "by model.precision"),
            always(f"{_ADAM}.fp16", "bf16, fp8 or fp32", False),
            always(f"{_ADAM}.params_dtype", "master weights are fp32", "float32"),
            always(f"{_ADAM}.use_distributed_optimizer", "always, over the data-parallel ranks", True),
            lacks(f"{_ADAM}.use_precision_aware_optimizer", "optimizer states are fp32"),
            same(f"{_ADAM}.clip_grad", "optim.clip_grad"),
            always(f"{_ADAM}.optimizer_cpu_offload", "the optimizer stays on the GPU", False),
            always(f"{_ADAM}.optimizer_offload_fraction", "the optimizer stays on the GPU", 0, 0.0),
            turned(f"{_SCHEDULE}.lr_decay_style", "optim.decay", _decay, "names alike"),
            always(
                f"{_SCHEDULE}.lr_decay_iters",
                "a decay ends with train.steps",
                holds=lambda _, source: source.get(f"{_SCHEDULE}.lr_decay_style") == "constant",
            ),
            turned(f"{_SCHEDULE}.lr_warmup_iters", "optim.warmup_steps", lambda n, s: steps(int(n), s), _WARMUP),
            lacks(f"{_SCHEDULE}.lr_warmup_init", "the first step has 1/optim.warmup_steps of optim.lr"),
            always(
                f"{_SCHEDULE}.start_weight_decay",
                "one weight decay",
                holds=lambda v, s: v == s.get(f"{_ADAM}.weight_decay"),
            ),
            always(
                f"{_SCHEDULE}.end_weight_decay",
                "one weight decay",
                holds=lambda v, s: v == s.get(f"{_ADAM}.weight_decay"),
            ),
            always(f"{_SCHEDULE}.weight_decay_incr_style", "one weight decay", "constant"),
        ],
    ),
    *within(
        off_megatron,
        [
            always("policy.optimizer.name", "AdamW", "torch.optim.AdamW", "torch.optim.adamw.AdamW"),
            same("policy.optimizer.kwargs.lr", "optim.lr"),
            same("policy.optimizer.kwargs.weight_decay", "optim.weight_decay"),
            same("policy.optimizer.kwargs.betas", "optim.betas"),
            always("policy.optimizer.kwargs.eps", "1e-8", 1e-8),
            always("policy.optimizer.kwargs.foreach", "megatron-core's optimizer"),
            always("policy.optimizer.kwargs.fused", "megatron-core's optimizer"),
            same("policy.max_grad_norm", "optim.clip_grad"),
            turned("policy.scheduler", "optim.warmup_steps", _torch_schedule, f"linear, then constant; {_WARMUP}"),
        ],
    ),
    always("policy.optimizer", "AdamW", part=off_megatron),
    # under Megatron it is read by interpolation into clip_grad
    always("policy.max_grad_norm", "as policy.megatron_cfg.optimizer.clip_grad", part=on_megatron),
]
