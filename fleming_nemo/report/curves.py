"""The curves of the report: which logged quantity becomes which chart."""

from markupsafe import Markup

from fleming_nemo.report.charts import Line, Point, step_chart
from fleming_nemo.report.run_files import StageFiles


def grpo_charts(
    sft: StageFiles | None, grpo: list[StageFiles], chance: float | None
) -> list[tuple[str, str, Markup | None]]:
    """Title, explanation and chart; both stages share one axis of steps, stage 2 continuing where stage 1 ended."""
    ran = [stage for stage in grpo if stage.metrics]
    worst = [row["mismatch_max"] for stage in ran for row in stage.metrics if row.get("mismatch_max") is not None]
    gap = f" Largest gap of one log-probability: {max(worst):.2g}." if worst else ""
    return [
        ("Reward", "Share of rollouts that are well formed and right.", metric_chart("reward", grpo, "reward", True)),
        (
            "Held-out accuracy",
            "Questions that are never trained on; dots with 95% intervals are full evaluations.",
            _held_out_chart(sft, grpo, chance),
        ),
        ("Response length", "Mean tokens of a rollout.", metric_chart("response-length", grpo, "response_length")),
        ("Entropy", "Mean entropy of the next token, in nats.", metric_chart("entropy", grpo, "entropy")),
        (
            "Groups without signal",
            "Share of questions whose rollouts all earn the same reward, so that their advantage is zero; dashed: "
            "smoothed, as the end of stage 1 is judged by.",
            metric_chart("zero-variance", grpo, "zero_variance", True, dashed_field="zero_variance_ema"),
        ),
        (
            "Slope of the reward",
            "Per step, over the last steps of stage 1; below the dashed line it is within its noise.",
            metric_chart("reward-slope", grpo, "reward_slope", dashed_field="reward_slope_noise", from_zero=False),
        ),
        (
            "Malformed and truncated",
            "Share of rollouts without a readable answer (solid) and cut off by the length limit (dashed).",
            metric_chart("malformed", grpo, "malformed", True, dashed_field="truncated"),
        ),
        (
            "Trainer against rollout",
            "KL between the probabilities of trainer and sampler for the same tokens." + gap,
            metric_chart("mismatch", grpo, "mismatch_kl"),
        ),
        ("Gradient norm", "Before clipping.", metric_chart("gradient-norm", grpo, "grad_norm")),
        ("Speed", "Tokens per second.", metric_chart("speed", grpo, "tokens_per_second")),
    ]


def _offsets(stages: list[StageFiles]) -> dict[str, float]:
    """The global step at which each stage starts."""
    offsets, end = {}, 0.0
    for stage in stages:
        offsets[stage.name] = end
        end += stage.metrics[-1]["step"] if stage.metrics else 0
    return offsets


def _lines(stages: list[StageFiles], field: str, dashed: bool = False) -> list[Line]:
    offsets = _offsets(stages)
    lines = []
    for stage in stages:
        rows = [row for row in stage.metrics if row.get(field) is not None]
        if rows:
            steps = [offsets[stage.name] + row["step"] for row in rows]
            lines.append(Line(stage.tone, steps, [row[field] for row in rows], dashed))
    return lines


def metric_chart(
    name: str,
    stages: list[StageFiles],
    field: str,
    percent: bool = False,
    dashed_field: str | None = None,
    from_zero: bool = True,
) -> Markup | None:
    """`field` of metrics.jsonl over steps, None where no step has logged it; `percent` for shares of 1."""
    lines = _lines(stages, field)
    if dashed_field:
        lines += _lines(stages, dashed_field, dashed=True)
    return step_chart(name, lines, percent=percent, from_zero=from_zero) if lines else None


def _held_out_chart(sft: StageFiles | None, grpo: list[StageFiles], chance: float | None) -> Markup | None:
    """The quick evaluations during training, and the full evaluation of each stage at its last step."""
    offsets = _offsets(grpo)
    points = []
    for stage in [sft, *grpo]:
        if stage and stage.evaluation and (stage is sft or stage.metrics):
            step = 0 if stage is sft else offsets[stage.name] + stage.metrics[-1]["step"]
            low, high = stage.evaluation["ci95"]
            points.append(Point(stage.tone, step, stage.evaluation["accuracy"], (low, high)))
    lines = _lines(grpo, "heldout_accuracy")
    if not any(stage.metrics for stage in grpo) or not (lines or points):
        return None
    return step_chart("held-out-accuracy", lines, percent=True, points=points, chance=chance)
