"""`grpo.*` of a NeMo-RL config: batches, validation, dynamic sampling, asynchrony."""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.nemo_rl.loss import objective
from fleming_nemo.migrate.nemo_rl.parts import switched_on
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, lacks, same, turned, within

_GROUP = "the mean of the whole group is the baseline; leave-one-out is G/(G-1) times that advantage"
_TOOLS = "one turn without tools"


def _refill(value: Any, source: Source) -> int:
    """Further draws after the first: NeMo-RL counts that one too."""
    return max(1, int(source.get("grpo.dynamic_sampling_max_gen_batches") or 10) - 1) if value else 0


def _age(value: Any, _: Source) -> Any:
    return int(value) if int(value) <= 1 else Lost(f"{value} steps: rollouts of ours are one step old at most")


RULES: list[Rule] = [
    same("grpo.num_prompts_per_step", "grpo.prompts_per_step"),
    same("grpo.num_generations_per_prompt", "grpo.rollouts_per_prompt"),
    same("grpo.max_num_steps", "train.steps", "batches of rollouts in both"),
    lacks("grpo.max_num_epochs", "a run ends with train.steps, however often the questions went round"),
    always("grpo.max_rollout_turns", "one turn", 1),
    turned(
        "grpo.normalize_rewards", "grpo.objective", objective, "advantages divided by the group's deviation, or not"
    ),
    always("grpo.use_leave_one_out_baseline", _GROUP, False),
    same("grpo.val_period", "eval.every", "steps; 0 = never"),
    always("grpo.val_start_at", "validation goes by eval.every from the first step", -1),
    always("grpo.val_at_start", "`task=evaluate` on the starting weights does it", False),
    always("grpo.val_at_end", "a run always ends with the held-out questions"),
    same("grpo.max_val_samples", "eval.limit", "questions; 0 = all"),
    always("grpo.val_batch_size", "rollout.decode_batch serves validation too"),
    same("grpo.val_num_generations_per_prompt", "eval.seeds", "answers to each question at the end of the run"),
    lacks("grpo.stop_at_validation_*", "grpo.switch=plateau ends a stage by its reward"),
    always("grpo.skip_reference_policy_logprobs_calculation", "computed where grpo.kl_beta is above 0, and only there"),
    same("grpo.seed", "seed"),
    same("grpo.overlong_filtering", "grpo.mask_truncated"),
    lacks("grpo.advantage_clip_*", "advantages are not clipped"),
    turned("grpo.use_dynamic_sampling", "grpo.refill", _refill, "a switch becomes a number of further draws"),
    *within(
        switched_on("grpo.use_dynamic_sampling"),
        [
            turned(
                "grpo.dynamic_sampling_max_gen_batches",
                "grpo.refill",
                lambda _, source: _refill(True, source),
                "draws after the first; then the step goes on with what there is instead of ending the run",
            ),
            always("grpo.batch_multiplier", "a draw replaces the groups that agree, no more", 1),
        ],
    ),
    always("grpo.reward_shaping.enabled", "a truncated response teaches nothing (grpo.mask_truncated)", False),
    *within(
        switched_on("grpo.reward_shaping.enabled"),
        [lacks("grpo.reward_shaping.*", "no penalty by length; grpo.mask_truncated leaves out what was cut off")],
    ),
    always("grpo.reward_scaling.enabled", "the reward is 1 or 0", False),
    *within(
        switched_on("grpo.reward_scaling.enabled"),
        [
            lacks(
                "grpo.reward_scaling.*", "the reward is 1 or 0; a linear scale cancels where advantages are normalised"
            )
        ],
    ),
    always("grpo.adv_estimator.name", "group-relative advantages", "grpo"),
    turned("grpo.adv_estimator.normalize_rewards", "grpo.objective", objective, "as grpo.normalize_rewards"),
    always("grpo.adv_estimator.use_leave_one_out_baseline", _GROUP, False),
    always("grpo.adv_estimator.minus_baseline", "always subtracted; NeMo-RL reads it for Reinforce++ alone", True),
    lacks(
        "grpo.seq_logprob_error_threshold", "grpo.correction=sequence leaves out responses by their product of ratios"
    ),
    lacks("grpo.invalid_tool_call_advantage", _TOOLS),
    lacks("grpo.malformed_thinking_advantage", "a response of another form than asked for has reward 0"),
    always("grpo.calculate_advantages_on_gpu", "a group is a few numbers, on the host"),
    lacks("grpo.effort_levels*", "no levels of effort"),
    always("grpo.deduplicate_multimodal_data", "text alone", False),
    always("grpo.debug_payload_metrics", "text alone", False),
    turned(
        "grpo.async_grpo.enabled", "rollout.staleness", lambda on, _: int(bool(on)), "a switch becomes an age in steps"
    ),
    *within(
        switched_on("grpo.async_grpo.enabled"),
        [
            turned("grpo.async_grpo.max_trajectory_age_steps", "rollout.staleness", _age, "steps; ours: at most 1"),
            lacks(
                "grpo.async_grpo.max_generation_failures", "a server that died is restarted, its requests sent again"
            ),
            lacks(
                "grpo.async_grpo.in_flight_weight_updates", "requests under way end with the weights they began with"
            ),
            lacks("grpo.async_grpo.recompute_kv_cache_after_weight_updates", "the cache is dropped at every update"),
        ],
    ),
    lacks("reward_penalties.*", "one verifier, reward 1 or 0: a wrong form is a wrong answer"),
    lacks("async_rl.*", "one loop; rollout.staleness says how far ahead generation runs"),
]
