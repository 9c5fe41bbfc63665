"""Read what runs leave on disk, as far as it exists yet.

A file that is missing means that its part has not run; a file that is there and broken is a UserError.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError

STAGES = ("base", "sft", "grpo_stage1", "grpo_stage2")
EVALUATION = "evaluation"
STAGE_TITLES = {
    "base": "Base model",
    "sft": "SFT",
    "grpo_stage1": "GRPO stage 1",
    "grpo_stage2": "GRPO stage 2",
    EVALUATION: "Evaluation",
}
MISHAPS = ("server_lost", "server_restarted", "restart_failed", "server_given_up", "other_weights")
"""Events of rollout servers that a reader wants to know of (RUN/events.jsonl)."""
_RUN_FILES = ("config.yaml", "card.json", "metrics.jsonl", "eval.json")

Row = dict[str, Any]


@dataclass(frozen=True)
class StageFiles:
    """One run directory. `state` is "done", "failed", "running" or "not run yet"."""

    name: str
    state: str
    failure: Row = field(default_factory=dict)
    evaluation: Row | None = None
    metrics: list[Row] = field(default_factory=list)
    samples: list[Row] = field(default_factory=list)
    mining: Row | None = None
    switch: Row | None = None
    card: Row | None = None
    config: str | None = None
    events: list[Row] = field(default_factory=list)

    @property
    def mishaps(self) -> str:
        """What befell the rollout servers, counted; empty where nothing did."""
        counts = Counter(row["event"] for row in self.events if row["event"] in MISHAPS)
        return ", ".join(f"{event.replace('_', ' ')} {count}x" for event, count in counts.items())

    @property
    def title(self) -> str:
        return STAGE_TITLES.get(self.name, self.name)

    @property
    def kind(self) -> str:
        """One of "grpo", "sft" and "base", by the name of the stage or else by what it logged."""
        if self.name.startswith("grpo") or any("reward" in row for row in self.metrics):
            return "grpo"
        return "sft" if self.name == "sft" or any("loss" in row for row in self.metrics) else "base"

    @property
    def tone(self) -> str:
        """The stage whose colour this one takes."""
        return self.name if self.name in STAGES else {"grpo": "grpo_stage1"}.get(self.kind, self.kind)


@dataclass(frozen=True)
class ReportFiles:
    """A demo directory with all its stages, or one run directory as its only stage."""

    name: str
    stages: list[StageFiles]
    summary: Row
    manifest: Row | None = None
    funnel: Row | None = None


def read_report_files(directory: Path) -> ReportFiles:
    """Everything the report shows. Raises UserError for a directory that is neither kind, and for a broken file."""
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory: name a run directory or the parent of the stage directories.")
    if any((directory / name).exists() for name in (*STAGES, "data", "summary.json")):
        return ReportFiles(
            name=directory.resolve().name,
            stages=[_read_stage(directory / name, name) for name in (*STAGES, *_evaluated(directory))],
            summary=read_json(directory / "summary.json") or {},
            manifest=read_json(directory / "data" / "manifest.json"),
            funnel=read_json(directory / "data" / "funnel.json"),
        )
    if any((directory / name).exists() for name in _RUN_FILES):
        return ReportFiles(directory.resolve().name, [_read_stage(directory, None)], summary={})
    raise UserError(f"{directory} holds no run: expected {', '.join(_RUN_FILES)} or one of {', '.join(STAGES)} in it.")


def _evaluated(directory: Path) -> list[str]:
    """A chain of jobs ends with an evaluation of its own; the demo has none."""
    return [EVALUATION] if (directory / EVALUATION).is_dir() else []


def read_json(path: Path) -> Row | None:
    """The object in a JSON file, None where the file does not exist."""
    if not path.exists():
        return None
    return _parse(path.read_text(encoding="utf-8"), str(path))


def read_jsonl(path: Path, required: Sequence[str] = ()) -> list[Row]:
    """The objects of a JSONL file, each with the `required` keys; [] where the file does not exist."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{path}:{number}")
        require(row, required, f"{path}:{number}")
        rows.append(row)
    return rows


def require(row: Row, keys: Sequence[str], where: str) -> None:
    """Raise UserError for the first of `keys` that `row` lacks."""
    for key in keys:
        if key not in row:
            raise UserError(f'{where}: the field "{key}" is missing; write the file again with the run that made it.')


def _parse(text: str, where: str) -> Row:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: broken JSON ({error.msg} at column {error.colno}); if the run is still writing, try again, "
            "otherwise delete the line or repeat the run."
        ) from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object, found {type(row).__name__}.")
    return row


def _read_stage(directory: Path, name: str | None) -> StageFiles:
    evaluation = read_json(directory / "eval.json")
    if evaluation is not None:
        require(evaluation, ("accuracy", "n", "ci95"), str(directory / "eval.json"))
    # A resumed run repeats the steps after its last checkpoint; the later attempt is the one that counts.
    metrics = {row["step"]: row for row in read_jsonl(directory / "metrics.jsonl", ("step",))}
    if name is None:
        last = next(reversed(metrics.values()), {})
        name = str((evaluation or {}).get("stage") or last.get("stage") or directory.resolve().name)
    config = directory / "config.yaml"
    failure = read_json(directory / "FAILED.json")
    if (directory / "DONE").exists():
        state = "done"
    elif failure is not None:
        state = "failed"
    elif evaluation is not None:
        state = "done"
    else:
        state = "running" if metrics or config.exists() else "not run yet"
    return StageFiles(
        name=name,
        state=state,
        failure=failure if failure is not None and state == "failed" else {},
        evaluation=evaluation,
        metrics=[metrics[step] for step in sorted(metrics)],
        samples=read_jsonl(directory / "eval_samples.jsonl", ("item_id", "question", "letter", "response", "outcome")),
        mining=read_json(directory / "mining.json"),
        switch=read_json(directory / "switch.json"),
        card=read_json(directory / "card.json"),
        config=config.read_text(encoding="utf-8") if config.exists() else None,
        events=read_jsonl(directory / "events.jsonl", ("event",)),
    )
