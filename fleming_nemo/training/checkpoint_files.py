"""The `checkpoints/` folder of a run: which directories there are, what their state.json says, and which ones stay.

    step_N/            a whole checkpoint: it got this name by a rename, when everything in it was on disk
    latest, best       links to the newest one and to the one with the highest score so far
    step_N.damaged/    set aside when a run resumed from an older one; for a person to look at and delete
    .step_N.*.tmp/     being written, being deleted, or left behind by a kill; nobody reads it, the next save removes it

Nothing here knows of ranks: one process calls it.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from fleming_nemo.data import files
from fleming_nemo.training import checkpoint_manifest
from fleming_nemo.training.checkpoint_manifest import Entry

STATE = "state.json"
RNG = "rng.pt"
_PROBE = 1 << 20
"""Bytes that must be free for a save to begin: on a full disk megatron-core fails on rank 0 alone, in other words."""
_NAME = re.compile(r"step_(\d+)")
_SET_ASIDE = re.compile(r"step_\d+\.damaged.*")


class Damaged(Exception):
    """A checkpoint is not what was written; the text says in what."""


def folder_of(run_dir: Path) -> Path:
    return run_dir / "checkpoints"


def path_of(run_dir: Path, step: int) -> Path:
    return folder_of(run_dir) / f"step_{step}"


def directories(run_dir: Path) -> list[int]:
    """Steps of all directories that are called like a checkpoint, ascending, whatever is in them."""
    found = [(p, _NAME.fullmatch(p.name)) for p in folder_of(run_dir).glob("step_*")]
    return sorted(int(match[1]) for path, match in found if match and path.is_dir() and not path.is_symlink())


def steps(run_dir: Path) -> list[int]:
    """Steps of the checkpoints of a run, ascending; one whose state.json is gone does not count."""
    return [step for step in directories(run_dir) if (path_of(run_dir, step) / STATE).is_file()]


def set_aside_before(run_dir: Path) -> list[str]:
    """Names of the damaged checkpoints that earlier resumes left."""
    return sorted(p.name for p in folder_of(run_dir).glob("step_*") if _SET_ASIDE.fullmatch(p.name))


def new_temporary(run_dir: Path, step: int) -> Path:
    """An empty directory to write a checkpoint into; removes what earlier kills left.

    Its name is used once: writers of a killed run may live a little longer, and must not meet those of the next one.
    """
    for left_over in folder_of(run_dir).glob(".*.tmp"):
        _delete(left_over)
    temporary = folder_of(run_dir) / f".step_{step}.{secrets.token_hex(4)}.tmp"
    temporary.mkdir(parents=True)
    probe = temporary / "probe"
    probe.write_bytes(bytes(_PROBE))
    probe.unlink()
    return temporary


def write_state(folder: Path, content: dict[str, Any], manifest: dict[str, Entry]) -> None:
    """Write state.json: the run's own state with a sum of it, and the manifest of the other files."""
    files.write_json(folder / STATE, {**content, "crc32": _sum(content), "files": manifest})


def read_state(source: Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    """Content (`step`, `score` if there is one, the run's own state) and manifest of a checkpoint.

    Raises:
        Damaged: state.json is missing, unreadable, or not as it was written.
    """
    try:
        content = files.read_json(source / STATE)
    except FileNotFoundError:
        raise Damaged(f"{STATE} is missing") from None
    except OSError as error:
        raise Damaged(f"{STATE} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise Damaged(f"{STATE} cannot be read ({error})") from error
    missing = [name for name in ("step", "crc32", "files") if not isinstance(content, dict) or name not in content]
    if missing:
        raise Damaged(f"{STATE} has no {missing[0]!r}")
    written, manifest = content.pop("crc32"), content.pop("files")
    if written != _sum(content) or f"step_{content['step']}" != source.name:
        raise Damaged(f"{STATE} is not as it was written")
    # damage to the manifest itself needs no sum: it then differs from the file that it speaks of
    if not isinstance(manifest, dict) or not all(_is_entry(value) for value in manifest.values()):
        raise Damaged(f"{STATE} lists files without size and sum")
    return content, manifest


def publish(temporary: Path, target: Path) -> None:
    """Give a directory whose files are all written its name, in place of an earlier one of that name."""
    files.sync(temporary)
    if target.exists():
        target.rename(_doomed(target))
    temporary.rename(target)
    files.sync(target.parent)


def prune(run_dir: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints and the best one; point `latest` and `best` at what stays."""
    whole, best = steps(run_dir), best_step(run_dir)
    link(run_dir)
    for step in directories(run_dir):
        if step not in whole[-keep:] and step != best:
            doomed = _doomed(path_of(run_dir, step))
            path_of(run_dir, step).rename(doomed)  # a kill while deleting leaves no half checkpoint
            _delete(doomed)
    for left_over in folder_of(run_dir).glob(".*.tmp"):
        _delete(left_over)


def best_step(run_dir: Path) -> int | None:
    """Step of the checkpoint with the highest score, the newer of two equal ones; None where none has a score."""
    scores = []
    for step in steps(run_dir):
        try:
            score = read_state(path_of(run_dir, step))[0].get("score")
        except Damaged:
            continue
        if score is not None and math.isfinite(score):
            scores.append((score, step))
    return max(scores)[1] if scores else None


def link(run_dir: Path) -> None:
    """Point `latest` and `best` at the checkpoints that they name."""
    for name, step in (("latest", max(steps(run_dir), default=None)), ("best", best_step(run_dir))):
        pointer = folder_of(run_dir) / name
        if step is None:
            pointer.unlink(missing_ok=True)
            continue
        new = pointer.with_name(f".{name}.tmp")
        new.unlink(missing_ok=True)
        new.symlink_to(f"step_{step}")
        new.replace(pointer)


def set_aside(source: Path) -> Path:
    """Rename a damaged checkpoint, so that it neither counts nor is in the way of a new one; returns its new path."""
    target, count = source.with_name(f"{source.name}.damaged"), 1
    while target.exists():
        count += 1
        target = source.with_name(f"{source.name}.damaged{count}")
    source.rename(target)
    return target


def _sum(content: dict[str, Any]) -> str:
    return checkpoint_manifest.text_sum(json.dumps(content, sort_keys=True))


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bytes"), int) and "crc32" in value


def _doomed(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _delete(path: Path) -> None:
    """Delete as far as possible: writers of a killed run may still add a file, the next save tries again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
