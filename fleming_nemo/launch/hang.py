"""Runs that hang: what a rank leaves behind when it ends for lack of progress, and what can be read from it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch import markers
from fleming_nemo.launch.attempt import LOGS
from fleming_nemo.training.watchdog import HEARTBEAT, HUNG, Progress, Watchdog

_MAIN = re.compile(r"main thread (0x[0-9a-f]+)")
_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')


def watched(cfg: RunConfig, rank: int) -> Watchdog:
    """The watchdog of this rank's part of a run; the first rank to notice leaves FAILED.json."""
    folder = Path(cfg.run_dir)
    logs = Path(os.environ.get(LOGS) or folder / "logs")

    def record(cause: str, last: Progress) -> None:
        markers.write_failure(folder, rank, cause, exit_code=HUNG, step=last.step)

    def others_hang() -> bool:
        failure = markers.read_failure(folder)
        return failure is not None and failure["kind"] == "hang"

    heartbeat = folder / HEARTBEAT if rank == 0 else None
    return Watchdog(cfg.train.hang_minutes * 60, _stacks(logs, rank), record, others_hang, heartbeat)


def report(logs: Path, processes: int) -> list[str]:
    """One line for each place where main threads were when the run hung, the rarest first.

    In a hang one rank is where the others are not: they wait for it in a collective operation.
    """
    ranks_at: dict[str, list[int]] = {}
    for rank in range(processes):
        ranks_at.setdefault(_place(_stacks(logs, rank)), []).append(rank)
    return [f"{_names(ranks)}: {place}" for place, ranks in sorted(ranks_at.items(), key=lambda item: len(item[1]))]


def _stacks(logs: Path, rank: int) -> Path:
    return logs / f"stacks_rank_{rank}.txt"


def _place(stacks: Path) -> str:
    """The innermost frame of the main thread, and the innermost one of this package if that is another."""
    text = stacks.read_text(encoding="utf-8", errors="replace") if stacks.exists() else ""
    main = _MAIN.search(text)
    stack = re.search(rf"^(?:Current t|T)hread {main[1]}.*\n((?:  .*\n?)+)", text, re.MULTILINE) if main else None
    frames = list(_FRAME.finditer(stack[1])) if stack else []
    if not frames:
        return "wrote no stacks (the process was stopped or gone, or still making progress)"
    # the CPU backend's mode is a frame of every operation of torch
    ours = [f for f in frames if "/fleming_nemo/" in f["file"] and f["function"] != "__torch_function__"]
    shown = [frames[0], *ours[:1]] if ours and ours[0] is not frames[0] else frames[:1]
    return ", called from ".join(f"{f['function']} ({'/'.join(Path(f['file']).parts[-2:])}:{f['line']})" for f in shown)


def _names(ranks: list[int]) -> str:
    """[0, 2, 3, 4] -> `ranks 0, 2-4`."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    names = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(names)}"
