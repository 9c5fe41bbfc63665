"""`fleming doctor`: what this machine has, what is wrong with it, and what a recipe would miss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch import machine
from fleming_nemo.launch.health import Finding, gpus, software, storage


def examine(cfg: RunConfig | None) -> list[Finding]:
    """The checks of one node, for a recipe or for the machine as such."""
    folder = Path(cfg.run_dir) if cfg is not None else Path()
    return [*gpus.findings(_gpus(cfg)), *storage.findings(cfg, folder), *software.findings(cfg)]


def refuse_wrong(found: Sequence[Finding], what: str) -> None:
    """UserError if something is wrong that `what` needs."""
    wrong = [row.about for row in found if row.wrong]
    if wrong:
        raise UserError(f"{what} cannot run on this machine as it is; see the lines marked WRONG: {', '.join(wrong)}")


def _gpus(cfg: RunConfig | None) -> int:
    """GPUs that a recipe needs here: all of its processes', if it cannot run on the CPU."""
    if cfg is None or cfg.model.arch in CPU_SIZED:
        return 0
    return machine.num_processes(cfg, 0)
