"""One self-contained report.html for a run, or for all stages of the pipeline."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.evaluation.stats import TIERS, paired_difference
from fleming_nemo.report.charts import Bar, accuracy_bars
from fleming_nemo.report.curves import grpo_charts, metric_chart
from fleming_nemo.report.page import environment, flatten, number, write_page
from fleming_nemo.report.run_files import STAGE_TITLES, ReportFiles, StageFiles, read_report_files
from fleming_nemo.report.samples import pick_questions
from fleming_nemo.reward.verify import Outcome


def write_report(directory: str | Path) -> Path:
    """Write `report.html` into a demo or run directory and return its path.

    Parts that have not run are shown as such. Raises UserError for a directory without runs and for broken files.
    """
    directory = Path(directory)
    page = environment().get_template("template.html.j2").render(build_context(read_report_files(directory)))
    return write_page(directory / "report.html", page)


def build_context(files: ReportFiles) -> dict[str, Any]:
    """What the template shows. A value of None reads "not run yet" there."""
    measured = [stage for stage in files.stages if stage.evaluation]
    evaluations = [stage.evaluation for stage in files.stages if stage.evaluation]
    chance = next((row["chance"] for row in evaluations if "chance" in row), None)
    sft = next((stage for stage in files.stages if stage.kind == "sft"), None)
    grpo = [stage for stage in files.stages if stage.kind == "grpo"]
    return {
        "name": files.name,
        "stages": files.stages,
        "titles": STAGE_TITLES,
        "measured": measured,
        "chance": chance,
        "tiers": TIERS,
        "accuracy_chart": accuracy_bars("accuracy", [_bar(stage) for stage in files.stages], chance),
        "changes": _changes(files.stages),
        "sft": sft,
        "sft_chart": metric_chart("sft-loss", [sft], "loss", from_zero=False) if sft else None,
        "grpo": grpo,
        "grpo_charts": grpo_charts(sft, grpo, chance),
        "pipeline": len(files.stages) > 1,
        "funnel": _funnel(files.funnel),
        "sources": _sources(files.manifest),
        "manifest": flatten({key: value for key, value in (files.manifest or {}).items() if key != "sources"}),
        "switch": next((stage.switch for stage in grpo if stage.switch), None),
        "mining": next((_mining(stage.mining) for stage in grpo if stage.mining), None),
        "groups": pick_questions(files.stages),
        "timing": [_timing(stage) for stage in files.stages if stage.metrics],
        "summary": files.summary,
        "cards": [(stage, flatten(stage.card or {})) for stage in files.stages if stage.card or stage.config],
    }


def _bar(stage: StageFiles) -> Bar:
    if not stage.evaluation:
        return Bar(stage.tone, stage.title, None, None)
    low, high = stage.evaluation["ci95"]
    return Bar(stage.tone, stage.title, stage.evaluation["accuracy"], (low, high))


def _changes(stages: Iterable[StageFiles]) -> list[dict[str, Any]]:
    """Every stage against the one measured before it, on the questions of the saved samples (one sampling seed)."""
    sampled = [stage for stage in stages if stage.samples]
    pairs = list(zip(sampled, sampled[1:], strict=False))
    if len(sampled) > 2:
        pairs.append((sampled[0], sampled[-1]))
    changes = []
    for before, after in pairs:
        right_before, right_after = (
            {row["item_id"]: row["outcome"] == Outcome.CORRECT for row in stage.samples} for stage in (before, after)
        )
        shared = [item_id for item_id in right_before if item_id in right_after]
        if not shared:
            continue
        difference = paired_difference(
            [right_before[item_id] for item_id in shared], [right_after[item_id] for item_id in shared]
        )
        changes.append(
            {
                "title": f"{before.title} to {after.title}",
                "n": len(shared),
                "gained": sum(right_after[item] and not right_before[item] for item in shared),
                "lost": sum(right_before[item] and not right_after[item] for item in shared),
                "difference": difference,
            }
        )
    return changes


def _funnel(funnel: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    """One bar for each count of data preparation; nested counts are summed and spelled out."""
    if not funnel:
        return None
    totals = {step: _total(step, count) for step, count in funnel.items()}
    largest = max(totals.values()) or 1
    return [
        {
            "title": step.replace("_", " "),
            "count": total,
            "share": total / largest,
            "rejected": step.startswith("rejected"),
            "parts": ", ".join(f"{key.replace('.', ' ')} {int(part):,}" for key, part in flatten(funnel[step]) if key),
        }
        for step, total in totals.items()
    ]


def _total(step: str, count: Any) -> int:
    if isinstance(count, dict):
        return sum(_total(f"{step}.{key}", part) for key, part in count.items())
    if not isinstance(count, int):
        raise UserError(f'funnel.json: "{step}" is no count but {count!r}; prepare the data again.')
    return count


def _sources(manifest: Mapping[str, Any] | None) -> tuple[list[str], list[list[str]]] | None:
    """Columns and rows of the table of sources."""
    sources = (manifest or {}).get("sources")
    if not sources:
        return None
    if isinstance(sources, dict):
        sources = [{"name": name} | (row if isinstance(row, dict) else {"items": row}) for name, row in sources.items()]
    columns = list(dict.fromkeys(key for row in sources for key in row))
    return columns, [[number(row.get(column)) for column in columns] for row in sources]


def _mining(mining: Mapping[str, Any]) -> dict[str, Any]:
    """Counts by pass rate over the whole pool and for every difficulty tier."""
    tiers = mining.get("by_difficulty", {})
    order = [tier for tier in TIERS if tier in tiers] + [tier for tier in tiers if tier not in TIERS]
    rows = []
    for title, pool in [("all questions", mining), *((tier, tiers[tier]) for tier in order)]:
        counts = {kind: int(pool.get(kind, 0)) for kind in ("right", "between", "wrong", "quarantined")}
        rows.append((title, counts, max(1, sum(counts.values())), pool.get("pass_rate")))
    return {
        "rows": rows,
        "rollouts": mining.get("rollouts_per_item"),
        "policy": mining.get("policy_version"),
        "rounds": mining.get("rounds", []),
        "quarantine": mining.get("quarantine"),
    }


def _timing(stage: StageFiles) -> dict[str, Any]:
    """Steps, median tokens per second, and the seconds of every phase summed over the steps."""
    phases: dict[str, float] = {}
    for row in stage.metrics:
        for phase, seconds in (row.get("seconds") or {}).items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    speeds = [row["tokens_per_second"] for row in stage.metrics if row.get("tokens_per_second") is not None]
    return {
        "stage": stage,
        "steps": stage.metrics[-1]["step"],
        "speed": median(speeds) if speeds else None,
        "phases": phases,
    }
