"""Which parts of a NeMo-RL config are in force, and the sizes that several fields need."""

from __future__ import annotations

import math

from fleming_nemo.migrate.rules import Source

AUTOMODEL = ("policy.dtensor_cfg", "policy.automodel_cfg")
"""The back end that is not Megatron; renamed in the middle of 2026."""


def on_megatron(source: Source) -> bool:
    """Whether the Megatron back end trains."""
    return bool(source.get("policy.megatron_cfg.enabled"))


def off_megatron(source: Source) -> bool:
    """Whether the DTensor (Automodel) back end trains."""
    return not on_megatron(source)


def switched_on(key: str):
    """A part with a switch of its own."""
    return lambda source: bool(source.get(key))


def updates(source: Source) -> int:
    """Optimizer steps on each batch of rollouts; 1 where the batch does not divide."""
    drawn = int(source.get("grpo.num_prompts_per_step") or 1) * int(source.get("grpo.num_generations_per_prompt") or 1)
    size = int(source.get("policy.train_global_batch_size") or drawn)
    return drawn // size if size and drawn % size == 0 else 1


def length(source: Source) -> int:
    """Longest sequence, prompt and response."""
    return int(source.get("policy.max_total_sequence_length") or 4096)


def steps(iterations: int, source: Source) -> int:
    """Optimizer iterations as steps of ours, each of which makes `updates` of them."""
    return math.ceil(iterations / updates(source))
