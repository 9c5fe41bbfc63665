"""What the rollout engine asks of the other options."""

from __future__ import annotations

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig


def check_engine(cfg: RunConfig) -> None:
    """Raise a UserError for the first option that does not go with `rollout.engine`."""
    rollout = cfg.rollout
    if rollout.engine == "trainer":
        if rollout.tp > 1:
            raise UserError(
                f"rollout.tp is {rollout.tp}, but only vLLM servers have a size of their own, and the trainer samples "
                "under parallel.tp; set rollout.tp=1 or rollout.engine=vllm"
            )
        if rollout.staleness:
            raise UserError(
                f"rollout.staleness is {rollout.staleness}, but the trainer cannot sample while it trains; set "
                "rollout.staleness=0 or rollout.engine=vllm"
            )
        if cfg.task != "sft" and not (cfg.task == "grpo" and rollout.replay):
            _check_layout(cfg)
        return
    _check_servers(cfg)
    if rollout.staleness and cfg.task == "grpo":
        _check_staleness(cfg)


def can_generate(cfg: RunConfig) -> bool:
    """Whether the run can sample from its policy; SFT trains under any layout and evaluates only where it can."""
    if cfg.rollout.engine != "trainer":
        return True
    return cfg.parallel.pp == cfg.parallel.cp == 1 and cfg.model.precision != "fp8"


def _check_layout(cfg: RunConfig) -> None:
    for name, size in (("pp", cfg.parallel.pp), ("cp", cfg.parallel.cp)):
        if size > 1:
            raise UserError(
                f"parallel.{name} is {size}, but in-process generation needs pp=1 and cp=1; use tp and dp, or "
                "rollout.engine=vllm"
            )


def _check_servers(cfg: RunConfig) -> None:
    arch, tp = ARCHS[cfg.model.arch], cfg.rollout.tp
    if arch.num_heads % tp:
        sizes = ", ".join(str(n) for n in range(1, arch.num_heads + 1) if arch.num_heads % n == 0)
        raise UserError(
            f"rollout.tp is {tp}, which does not divide the {arch.num_heads} attention heads of {cfg.model.arch}; "
            f"choose one of {sizes}"
        )
    if arch.num_kv_heads % tp and tp % arch.num_kv_heads:
        raise UserError(
            f"rollout.tp is {tp}, and the {arch.num_kv_heads} key-value groups of {cfg.model.arch} can neither be cut "
            f"nor copied into so many; choose {arch.num_kv_heads}"
        )


def _check_staleness(cfg: RunConfig) -> None:
    staleness = cfg.rollout.staleness
    if staleness > 1:
        raise UserError(f"rollout.staleness is {staleness}; 0 (on-policy) and 1 (one step ahead) are what there is")
    if cfg.rollout.replay:
        raise UserError(
            f"rollout.staleness is {staleness}, but a recorded run is trained on without an engine; set "
            "rollout.staleness=0"
        )
    if cfg.grpo.refill:
        raise UserError(
            f"grpo.refill is {cfg.grpo.refill}, but with rollout.staleness=1 the next questions are drawn before it is "
            "known which groups are flat; set one of the two to 0"
        )
    if cfg.grpo.correction == "none":
        raise UserError(
            "grpo.correction is 'none', but with rollout.staleness=1 the batch was drawn by older weights, which has "
            "to be corrected for; set it to auto, token or sequence"
        )
