"""Ranges of the numbers, whatever is done with them."""

from __future__ import annotations

import math

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig


def check_numbers(cfg: RunConfig) -> None:
    """Raise a UserError for the first number that is out of its range."""
    at_least: list[tuple[str, float, float]] = [
        ("seed", cfg.seed, 0),
        ("parallel.tp", cfg.parallel.tp, 1),
        ("parallel.pp", cfg.parallel.pp, 1),
        ("parallel.vp", cfg.parallel.vp, 1),
        ("parallel.cp", cfg.parallel.cp, 1),
        ("parallel.dp", cfg.parallel.dp, 0),
        ("optim.warmup_steps", cfg.optim.warmup_steps, 0),
        ("optim.weight_decay", cfg.optim.weight_decay, 0),
        ("optim.clip_grad", cfg.optim.clip_grad, 0),
        ("optim.skip_spikes", cfg.optim.skip_spikes, 0),
        ("train.steps", cfg.train.steps, 1),
        ("train.global_batch", cfg.train.global_batch, 1),
        ("train.micro_batch", cfg.train.micro_batch, 1),
        ("train.pack_tokens", cfg.train.pack_tokens, 0),
        ("train.seq_length", cfg.train.seq_length, 16),
        ("train.save_every", cfg.train.save_every, 1),
        ("train.keep_checkpoints", cfg.train.keep_checkpoints, 1),
        ("rollout.max_response", cfg.rollout.max_response, 1),
        ("rollout.decode_batch", cfg.rollout.decode_batch, 1),
        ("rollout.tp", cfg.rollout.tp, 1),
        ("rollout.staleness", cfg.rollout.staleness, 0),
        ("grpo.prompts_per_step", cfg.grpo.prompts_per_step, 1),
        # A group of one has no mean to compare with: every advantage would be 0.
        ("grpo.rollouts_per_prompt", cfg.grpo.rollouts_per_prompt, 2),
        ("grpo.mining_rollouts", cfg.grpo.mining_rollouts, 1),
        ("grpo.remine_every", cfg.grpo.remine_every, 0),
        ("grpo.refill", cfg.grpo.refill, 0),
        ("grpo.updates_per_batch", cfg.grpo.updates_per_batch, 1),
        ("grpo.kl_beta", cfg.grpo.kl_beta, 0),
        ("grpo.dual_clip", cfg.grpo.dual_clip, 0),
        ("eval.seeds", cfg.eval.seeds, 0),
        ("eval.limit", cfg.eval.limit, 0),
        ("eval.every", cfg.eval.every, 0),
    ]
    above_zero = [
        ("train.hang_minutes", cfg.train.hang_minutes),
        ("optim.lr", cfg.optim.lr),
        ("rollout.temperature", cfg.rollout.temperature),
        ("eval.temperature", cfg.eval.temperature),
        ("grpo.max_mismatch", cfg.grpo.max_mismatch),
    ]
    if len(cfg.optim.betas) != 2:
        raise UserError(f"optim.betas is {cfg.optim.betas}; give the decay of both moments, for example [0.9,0.95]")
    shares = [("optim.betas", beta) for beta in cfg.optim.betas]
    # Comparisons are written so that NaN fails them.
    for field, value, least in at_least:
        if not (value >= least and math.isfinite(value)):
            raise UserError(f"{field} is {value}; it must be at least {least}")
    for field, value in above_zero:
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{field} is {value}; it must be above 0")
    for field, value in shares:
        if not 0 <= value < 1:
            raise UserError(f"{field} is {value}; it must be at least 0 and below 1")
    if cfg.optim.warmup_steps > cfg.train.steps:
        raise UserError(
            f"optim.warmup_steps is {cfg.optim.warmup_steps}, more than train.steps = {cfg.train.steps}; lower it"
        )
