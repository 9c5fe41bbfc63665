"""`loss_fn.*` of a NeMo-RL config: which of our objectives it is, and what is fixed there."""

from __future__ import annotations

import math
from typing import Any

from fleming_nemo.migrate.nemo_rl.parts import switched_on, updates
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, lacks, same, turned, within

CLIPS = {"dapo": (0.2, 0.28), "grpo": (0.2, 0.2), "dr_grpo": (0.2, 0.2), "gspo": (3e-4, 4e-4), "cispo": (1.0, 4.0)}
"""Lower and upper clip of the importance ratio of each objective; a test holds them against grpo.objectives."""

_CLIP = "part of grpo.objective: grpo and dr_grpo .2/.2, dapo .2/.28, gspo 3e-4/4e-4, cispo 1/4"
_CORRECTIONS = {None: "token", "tis": "token", "seq-mask-tis": "sequence"}


def objective(_: Any, source: Source) -> str:
    """Our objective with the same reduction, ratio and normalisation; `paper` has no twin in NeMo-RL."""
    if source.get("loss_fn.use_cispo"):
        return "cispo"
    if source.get("loss_fn.sequence_level_importance_ratios"):
        return "gspo"
    if not source.get("grpo.normalize_rewards", True):
        return "dr_grpo"
    return "dapo" if source.get("loss_fn.token_level_loss", True) else "grpo"


def _correction(_: Any, source: Source) -> Any:
    if not source.get("loss_fn.use_importance_sampling_correction"):
        return "none"
    kind = source.get("loss_fn.truncated_importance_sampling_type")
    return _CORRECTIONS.get(kind, Lost(f"{kind}: ours weights tokens (token) or leaves out responses (sequence)"))


def _clipped_alike(side: int):
    def holds(value: Any, source: Source) -> bool:
        on_policy = source.get("loss_fn.force_on_policy_ratio") or source.get("loss_fn.disable_ppo_ratio")
        return bool(on_policy) or math.isclose(float(value), CLIPS[objective(None, source)][side])

    return holds


RULES: list[Rule] = [
    turned(
        "loss_fn.token_level_loss",
        "grpo.objective",
        objective,
        "true: the batch's mean over tokens (dapo); false: over responses (grpo); the sum of `paper` has no twin there",
    ),
    turned("loss_fn.sequence_level_importance_ratios", "grpo.objective", objective, "true: gspo"),
    turned("loss_fn.use_cispo", "grpo.objective", objective, "true: cispo"),
    always("loss_fn.ratio_clip_min", _CLIP, holds=_clipped_alike(0)),
    always("loss_fn.ratio_clip_max", _CLIP, holds=_clipped_alike(1)),
    same("loss_fn.ratio_clip_c", "grpo.dual_clip", "null = 0 = off"),
    same("loss_fn.reference_policy_kl_penalty", "grpo.kl_beta"),
    always("loss_fn.reference_policy_kl_type", "the k3 estimate", "k3"),
    lacks("loss_fn.kl_input_clamp_value", "the divergence is not clamped"),
    lacks("loss_fn.kl_output_clamp_value", "the divergence is not clamped"),
    always("loss_fn.use_on_policy_kl_approximation", "samples count once", False),
    always("loss_fn.use_kl_in_reward", "the divergence is part of the loss", False),
    turned(
        "loss_fn.use_importance_sampling_correction",
        "grpo.correction",
        _correction,
        "false: none; true: token or sequence, by the type of truncation",
    ),
    *within(
        switched_on("loss_fn.use_importance_sampling_correction"),
        [
            turned(
                "loss_fn.truncated_importance_sampling_type",
                "grpo.correction",
                _correction,
                "tis: token; seq-mask-tis: sequence",
            ),
            always(
                "loss_fn.truncated_importance_sampling_ratio", "token weights are capped at 2, responses at 3", 2, 2.0
            ),
            lacks("loss_fn.truncated_importance_sampling_ratio_min", "token weights have no lower bound"),
        ],
    ),
    always(
        "loss_fn.force_on_policy_ratio",
        "with one update for each batch the ratio is 1 by itself",
        holds=lambda value, source: not value or updates(source) == 1,
    ),
    always(
        "loss_fn.disable_ppo_ratio",
        "with one update for each batch the ratio is 1 by itself; grpo.objective=paper has none at all",
        holds=lambda value, source: not value or updates(source) == 1,
    ),
    always("loss_fn.positive_example_nll_weight", "no likelihood term on right answers", 0, 0.0),
]
