"""Options that take one of several names."""

from __future__ import annotations

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import nearest
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.syntheses import NONE, SYNTHESES

TASKS = ("sft", "grpo", "mine", "drift", "evaluate")
PRECISIONS = ("bf16", "fp8", "fp32")
FP8_MULTIPLES = {"delayed": 16, "tensorwise": 16, "blockwise": 128, "mxfp8": 32}
"""What both sizes of an fp8 matrix divide by, the tokens of a rank among them."""
FP8_RECIPES = tuple(FP8_MULTIPLES)
DECAYS = ("cosine", "linear", "wsd", "constant")
CURRICULA = ("easy_moderate", "mined")
SWITCHES = ("steps", "plateau")
OBJECTIVES = ("paper", "grpo", "dr_grpo", "dapo", "gspo", "cispo")
ENGINES = ("trainer", "vllm", "vllm-fp8")
CORRECTIONS = ("auto", "none", "token", "sequence")


def check_choices(cfg: RunConfig) -> None:
    """Raise a UserError for a name that does not exist, with the nearest one."""
    _one_of("task", cfg.task, TASKS)
    _one_of("model.arch", cfg.model.arch, tuple(ARCHS))
    _one_of("model.precision", cfg.model.precision, PRECISIONS)
    _one_of("model.fp8_recipe", cfg.model.fp8_recipe, FP8_RECIPES)
    _one_of("optim.decay", cfg.optim.decay, DECAYS)
    _one_of("data.synthesis", cfg.data.synthesis, (NONE, *SYNTHESES))
    _one_of("rollout.engine", cfg.rollout.engine, ENGINES)
    _one_of("grpo.curriculum", cfg.grpo.curriculum, CURRICULA)
    _one_of("grpo.switch", cfg.grpo.switch, SWITCHES)
    _one_of("grpo.objective", cfg.grpo.objective, OBJECTIVES)
    _one_of("grpo.correction", cfg.grpo.correction, CORRECTIONS)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = nearest(value, allowed, count=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(allowed)}"
        raise UserError(f"{field} is {value!r}, which does not exist; {hint}")
