"""Where the logs of a run are: logs/attempt_K/rank_N.log of its directory."""

from __future__ import annotations

import re
from pathlib import Path

from fleming_nemo.config.errors import UserError


def log_file(run: Path, rank: int = 0, attempt: int | None = None) -> Path:
    """The log of a rank, of the newest attempt that has one if none is given.

    Raises:
        UserError: there is none; says which there are.
    """
    if not run.is_dir():
        raise UserError(f"{run} is not a directory; give the run_dir of a run")
    kept = _numbered(run / "logs", r"attempt_(\d+)")
    if not kept:
        raise UserError(f"{run} has no logs yet; `fleming status {run}` says where it stands")
    if attempt is not None and attempt not in kept:
        raise UserError(f"{run} has no attempt {attempt}; it has {_listed(kept)}")
    for number in [attempt] if attempt is not None else kept[::-1]:
        file = run / "logs" / f"attempt_{number}" / f"rank_{rank}.log"
        if file.exists():
            return file
    newest = attempt if attempt is not None else kept[-1]
    ranks = _numbered(run / "logs" / f"attempt_{newest}", r"rank_(\d+)\.log")
    raise UserError(f"attempt {newest} of {run} has no log of rank {rank}; it has those of ranks {_listed(ranks)}")


def _numbered(folder: Path, pattern: str) -> list[int]:
    names = [re.fullmatch(pattern, path.name) for path in folder.glob("*")]
    return sorted(int(match[1]) for match in names if match)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) if numbers else "none"
