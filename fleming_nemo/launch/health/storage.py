"""Room on the file systems that a run writes to: bytes, and files (inodes)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch.health.finding import Finding
from fleming_nemo.planner import parameters

GIB = 1 << 30
BYTES_PER_PARAMETER = 14
"""Of a checkpoint: weights in bf16, and the optimizer's master copy and two moments in fp32."""
FILES = 10_000
TEMPORARY = GIB


def findings(cfg: RunConfig | None, folder: Path) -> list[Finding]:
    """The run directory and the folder for temporary files.

    A run keeps `train.keep_checkpoints` checkpoints and the best one, and writes the next before it deletes one.
    """
    needed = GIB
    if cfg is not None:
        each = parameters.whole(ARCHS[cfg.model.arch]) * BYTES_PER_PARAMETER
        needed += each * (cfg.train.keep_checkpoints + 2)
    return [_room("run directory", folder, needed), _room("temporary files", Path(tempfile.gettempdir()), TEMPORARY)]


def _room(about: str, folder: Path, needed: int) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    stat = os.statvfs(there)
    free, files = stat.f_bavail * stat.f_frsize, stat.f_favail
    if free < needed:
        told = f"{there} has {free / GIB:.1f} GiB free, and a run needs {needed / GIB:.1f}; free some or move it"
        return Finding(about, told, wrong=True)
    if stat.f_files and files < FILES:  # some file systems do not count them
        return Finding(about, f"{there} has room for {files} more files only; delete some or move it", wrong=True)
    return Finding(about, f"{there} has {free / GIB:.1f} GiB free, {needed / GIB:.1f} are needed")
