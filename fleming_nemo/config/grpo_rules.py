"""What the options of GRPO ask of each other."""

from __future__ import annotations

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig


def check_grpo(cfg: RunConfig) -> None:
    """Raise a UserError for the first option that does not go with the others."""
    grpo = cfg.grpo
    if len(grpo.mix) != 2 or min(grpo.mix) < 0 or sum(grpo.mix) == 0:
        raise UserError(f"grpo.mix is {grpo.mix}; give two shares, for example [1,2]")
    if len(grpo.pass_rates) != 2 or not 0 <= grpo.pass_rates[0] < grpo.pass_rates[1] <= 1:
        raise UserError(
            f"grpo.pass_rates is {grpo.pass_rates}; give the rates up to which an item is wrong and from which on it "
            "is right, for example [0.125,0.5]"
        )
    if cfg.task == "mine" and grpo.curriculum != "mined":
        raise UserError("only a stage 2 mines; give a recipe with grpo.curriculum=mined, such as grpo_stage2_7b.py")
    if grpo.switch == "plateau" and grpo.curriculum == "mined":
        raise UserError("grpo.switch=plateau ends stage 1; with grpo.curriculum=mined set grpo.switch=steps")
    if grpo.objective == "paper" and grpo.updates_per_batch > 1:
        raise UserError(
            f"grpo.updates_per_batch is {grpo.updates_per_batch}, but the objective of the paper knows no importance "
            "ratio and allows one update per batch; set it to 1 or grpo.objective to one with a ratio, such as dr_grpo"
        )
    if cfg.rollout.replay and (grpo.remine_every or cfg.eval.every):
        name = "grpo.remine_every" if grpo.remine_every else "eval.every"
        raise UserError(
            f"a recorded run (rollout.record) is trained on without an engine, and {name} asks for one; set {name}=0"
        )
    if grpo.dual_clip and (grpo.dual_clip <= 1 or grpo.objective in ("paper", "cispo")):
        raise UserError(
            f"grpo.dual_clip is {grpo.dual_clip} with grpo.objective={grpo.objective}; it must be above 1 (usual: 3), "
            "or 0 for none, and has a meaning for grpo, dr_grpo, dapo and gspo"
        )
    if cfg.rollout.max_response >= cfg.train.seq_length:
        raise UserError(
            f"rollout.max_response is {cfg.rollout.max_response}, which leaves no room for the prompt in "
            f"train.seq_length = {cfg.train.seq_length}; lower the one or raise the other"
        )
