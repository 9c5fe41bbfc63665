"""What a rank does in a two-stage run that is killed at random moments, and what it tells about where it is."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import curriculum_work

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.parallel import groups
from fleming_nemo.training import watchdog

BEGIN, END = "starting", "over"
WINDOW = 10
"""Steps that the switch looks at: stage 1 has at least so many."""


def stage(cfg: RunConfig, told: Path) -> Any:
    """One stage as a recipe starts it; rank 0 appends a line to `told` whenever a phase begins.

    Where a stage starts from is part of what it saves, so paths are those below the folder of `told`.
    """
    os.chdir(told.parent)
    beat, present = watchdog.beat, ""
    with open(told, "a", buffering=1) as out:

        def tell(phase: str) -> None:
            nonlocal present
            if phase != present and groups.rank() == 0:
                out.write(f"{cfg.stage} {phase}\n")
            present = phase

        def beat_and_tell(step: int | None = None, phase: str | None = None) -> None:
            beat(step, phase)
            if phase is not None:
                tell(phase)

        tell(BEGIN)
        with mock.patch.object(watchdog, "beat", beat_and_tell):
            result = curriculum_work.whole_run(cfg, window=WINDOW)["result"]
        tell(END)
    return result
