"""Files of a run directory that the training processes write: metrics, rollouts, evaluation, run card."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.parallel import extensions

EVENTS = "events.jsonl"
"""What has happened to the servers of a run."""

_PACKAGES = ("fleming-nemo", "torch", "megatron-core", "numpy", "tokenizers")


class RunDirectory:
    """One run's folder; only rank 0 writes."""

    def __init__(self, path: Path, writer: bool) -> None:
        self.path = path
        self.writer = writer
        if writer:
            path.mkdir(parents=True, exist_ok=True)

    def rewind(self, step: int) -> None:
        """Forget metrics of steps after `step`: the run goes on from the checkpoint of that step."""
        file = self.path / "metrics.jsonl"
        if self.writer and file.exists():
            whole_lines = file.read_text().split("\n")[:-1]  # a process killed while writing leaves a part of a line
            rows = [json.loads(line) for line in whole_lines]
            files.write_jsonl(file, [row for row in rows if row["step"] <= step])

    def log(self, row: dict[str, Any]) -> None:
        """Append one step's numbers to metrics.jsonl; what is not finite becomes null."""
        if self.writer:
            # JSON has no NaN: the norm of a gradient that was not applied may be one
            known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as out:
                out.write(json.dumps(known, allow_nan=False) + "\n")

    def append(self, name: str, rows: list[Any]) -> None:
        """Add rows to a file of lines; none leave it as it is."""
        if self.writer and rows:
            with open(self.path / name, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(row) + "\n" for row in rows)

    def write_json(self, name: str, value: Any) -> None:
        if self.writer:
            files.write_json(self.path / name, value)

    def write_jsonl(self, name: str, rows: list[Any]) -> None:
        if self.writer:
            files.write_jsonl(self.path / name, rows)

    def write_card(self, cfg: RunConfig, parallel: dict[str, int], data: dict[str, Any]) -> None:
        """config.yaml (resolved) and card.json: versions, revision, data hashes, hardware."""
        if self.writer:
            files.write_text(self.path / "config.yaml", to_yaml(cfg))
            card = {"versions": versions(), "revision": _revision(), "parallel": parallel, "data": data}
            hardware = {"machine": platform.machine(), "cpus": os.cpu_count(), "gpus": _gpus()}
            files.write_json(self.path / "card.json", card | {"hardware": hardware})


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | packages | extensions.installed()


def _revision() -> str | None:
    """Git revision of an editable install; None for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    out = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True)
    return out.stdout.strip() or None


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
