"""The whole pipeline in one directory: data, base, SFT, both GRPO stages, summary.json and report.html.

A stage that left its DONE marker is not repeated, and a stage that was killed goes on from its newest checkpoint: the
same command finishes the demo whatever happened to it before.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fleming_nemo.config.schema import DemoConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.data import files
from fleming_nemo.launch import local, lock, machine, markers
from fleming_nemo.launch.preflight import prepare_data
from fleming_nemo.launch.stages import START_FROM, chain
from fleming_nemo.launch.stopwatch import Stopwatch


def run_demo(cfg: DemoConfig) -> dict[str, Any]:
    """Run or go on with the demo; returns the content of summary.json."""
    root, stages = Path(cfg.run_dir), chain(cfg)
    lock.check_config(cfg)
    summary = markers.read_done(root)
    if summary is not None:
        print(f"{root} is finished; give another run_dir=... to run again")
        print(table(summary))
        return summary
    for stage in stages.values():
        gpus = machine.num_gpus()
        processes = machine.num_processes(stage, gpus)
        validate(stage, processes)
        machine.runs_on_gpus(stage, processes, gpus)
    with lock.claim(cfg), Stopwatch(root / "state.json") as clock:
        _announce("data", f"questions, chains and corpus in {root / 'data'}", clock)
        prepare_data(stages["sft"])
        for name, stage in stages.items():
            _announce(name, f"{stage.task} of {stage.model.arch} from {stage.model.weights}", clock)
            local.launch(stage)
        _announce("report", f"{root / 'summary.json'} and {root / 'report.html'}", clock)
        summary = summarise(root, clock.seconds())
        files.write_json(root / "summary.json", summary)
        _write_report(root)
        markers.write_done(root, summary)
    print(table(summary))
    return summary


def summarise(root: Path, wall_seconds: float) -> dict[str, Any]:
    """summary.json: every stage's evaluation, the parallel sizes (largest over the stages, and by stage), versions."""
    evaluations = {name: files.read_json(root / name / "eval.json") for name in START_FROM}
    cards = {name: files.read_json(root / name / "card.json") for name in START_FROM}
    by_stage = {name: card["parallel"] for name, card in cards.items()}
    return {
        "stages": {name: {k: v for k, v in row.items() if k != "stage"} for name, row in evaluations.items()},
        "wall_seconds": round(wall_seconds, 1),
        "parallel": {axis: max(sizes[axis] for sizes in by_stage.values()) for axis in ("tp", "pp", "cp", "dp")},
        "parallel_by_stage": by_stage,
        "versions": cards["grpo_stage2"]["versions"],
    }


def table(summary: dict[str, Any]) -> str:
    """The final lines on the terminal: accuracy of each stage with its interval, greedy beside sampled."""
    widths = (12, 8, 15, 7, 7, 9, 13)
    columns = [("stage", "sampled", "95 % interval", "chance", "greedy", "malformed", "split")]
    for name, row in summary["stages"].items():
        low, high = row["ci95"]
        sizes = summary["parallel_by_stage"][name]
        split = " ".join(f"{axis}{size}" for axis, size in sizes.items() if size > 1) or "1 process"
        shares = [f"{row[key]:.1%}" for key in ("chance", "greedy", "malformed")]
        columns.append((name, f"{row['accuracy']:.1%}", f"{low:.1%} - {high:.1%}", *shares, split))
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in columns]
    lines = ["", lines[0], "-" * len(lines[0]), *lines[1:]]
    return "\n".join([*lines, f"{summary['wall_seconds'] / 60:.1f} minutes in all"])


def _write_report(root: Path) -> None:
    from fleming_nemo.report.html import write_report  # matplotlib is slow to import

    write_report(root)


def _announce(name: str, what: str, clock: Stopwatch) -> None:
    print(f"[{time.strftime('%M:%S', time.gmtime(clock.seconds()))}] {name}: {what}", flush=True)
