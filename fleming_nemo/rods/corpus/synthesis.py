"""Synthesis in a folder of its own for each graph, settings and code: nothing that older code made is taken up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleming_nemo.rods.stages import code_version, fingerprint
from fleming_nemo.rods.synth import shards
from fleming_nemo.rods.synth.settings import Settings

_CODE = ("synth", "kg", "evidence.py")


def synthesise(settings: Settings, work: Path, workers: int) -> tuple[Path, dict[str, Any]]:
    """(folder with items_{split}.jsonl, funnel). Folders of other settings or of other code are removed."""
    state = fingerprint([replace(settings, items=0).record(), code_version(*_CODE)])[:12]
    for old in work.glob(f"{settings.sampler}-*"):
        if old.is_dir() and not old.name.startswith(f"{settings.sampler}-{state}-"):
            shutil.rmtree(old)
    folder = work / f"{settings.sampler}-{state}-{settings.items}"
    return folder, shards.build(settings, folder, workers)
