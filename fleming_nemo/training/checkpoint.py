"""Checkpoints of a run: save, resume, and start the next stage from one.

`checkpoints/step_N/` holds model and optimizer (`checkpoint_tensors`), the RNG state of every rank, and state.json with
whatever the run needs besides (step, ledger) and the size and sum of every other file (`checkpoint_manifest`).  A
directory of that name was whole once (`checkpoint_save`); who loads it checks that it still is, on all ranks together,
before anything is loaded.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone, on_first
from fleming_nemo.training import checkpoint_files, checkpoint_manifest, checkpoint_tensors
from fleming_nemo.training.checkpoint_files import RNG, Damaged, steps
from fleming_nemo.training.checkpoint_manifest import Entry
from fleming_nemo.training.checkpoint_save import Saver
from fleming_nemo.training.engine import Engine

__all__ = ["Checkpoints", "last_state", "load_weights", "resume", "save", "steps"]


class Checkpoints(Saver):
    """Saves and resumes one run.  Every method is collective: all ranks call it at the same place of the program."""

    def resume(self) -> dict[str, Any] | None:
        """Load the newest checkpoint of this run that is whole and return its state; None where there is none.

        A damaged one is set aside and named on stderr, with what is used instead.

        Raises:
            UserError: there are checkpoints, and none is whole; nothing is renamed, so that the next start says so too.
        """
        found, set_aside = on_first(
            lambda: (checkpoint_files.directories(self.run_dir), checkpoint_files.set_aside_before(self.run_dir))
        )
        damaged: dict[int, str] = {}
        while found:
            step = found.pop()
            source = checkpoint_files.path_of(self.run_dir, step)
            content, damage = _examine(source)
            if content is not None:
                on_first(partial(_set_aside, self.run_dir, damaged, step))
                self.newest = step
                return self._load(source, content)
            damaged[step] = damage
        if damaged or set_aside:
            said = [f"step_{step}: {damage}" for step, damage in damaged.items()] + set_aside
            raise UserError(
                f"no checkpoint of {self.run_dir} is whole ({'; '.join(said)}); bring one back from a copy, or delete "
                f"{checkpoint_files.folder_of(self.run_dir)} to start from the first step again"
            )
        return None

    def _load(self, source: Path, content: dict[str, Any]) -> dict[str, Any]:
        checkpoint_tensors.load(self.engine, source, with_optimizer=True)
        rng_states = torch.load(source / RNG, weights_only=True)
        if len(rng_states) == torch.distributed.get_world_size():
            torch.set_rng_state(rng_states[groups.rank()])
        return _without_score(content)


def save(
    engine: Engine, run_dir: Path, step: int, state: dict[str, Any], keep: int, score: float | None = None
) -> None:
    """Save all of the run after `step` steps and wait until it is a checkpoint; see `Checkpoints.save`."""
    Checkpoints(engine, run_dir, keep, background=False).save(step, state, score)


def resume(engine: Engine, run_dir: Path) -> dict[str, Any] | None:
    """Load the newest whole checkpoint of this run; see `Checkpoints.resume`."""
    return Checkpoints(engine, run_dir, keep=1).resume()


def load_weights(engine: Engine, run_dir: Path, step: int | None = None) -> int:
    """Start from the weights of an earlier stage's checkpoint, under any layout; returns its step.

    Nothing but the newest checkpoint is taken, or that of `step`: where it is damaged, an older one would silently be
    another policy than the one that stage ended with.  That stage itself can go on from the older one.

    Raises:
        UserError: there is no such checkpoint, or it is damaged; nothing was loaded.
    """
    found = on_first(lambda: checkpoint_files.directories(run_dir))
    if not found:
        raise UserError(f"{run_dir} has no checkpoint to start from; run the stage before first")
    chosen = found[-1] if step is None else step
    if chosen not in found:
        raise UserError(f"{run_dir} has no checkpoint of step {chosen}; there are those of {_listed(found)}")
    source = checkpoint_files.path_of(run_dir, chosen)
    content, damage = _examine(source)
    if content is None:
        others = f"; there are also those of {_listed([s for s in found if s != chosen])}" if len(found) > 1 else ""
        raise UserError(
            f"{source} is damaged: {damage}; repeat the command that made it, which goes on from the checkpoint "
            f"before, or delete this directory to start from another one{others}"
        )
    checkpoint_tensors.load(engine, source, with_optimizer=False)
    return chosen


def last_state(run_dir: Path) -> dict[str, Any]:
    """The state in a run's newest checkpoint; empty where there is none (weights that no run of ours made).

    Not collective.

    Raises:
        UserError: that checkpoint's state.json is damaged.
    """
    found = checkpoint_files.directories(run_dir)
    if not found:
        return {}
    source = checkpoint_files.path_of(run_dir, found[-1])
    try:
        return _without_score(checkpoint_files.read_state(source)[0])
    except Damaged as damage:
        raise UserError(f"{source} is damaged: {damage}; repeat the command that made it") from damage


def _examine(source: Path) -> tuple[dict[str, Any] | None, str]:
    """Content of a checkpoint, or None and what is wrong with it; all ranks read a part of it and say the same."""

    def sizes() -> tuple[dict[str, Any], dict[str, Entry], str | None]:
        try:
            content, manifest = checkpoint_files.read_state(source)
        except Damaged as damage:
            return {}, {}, str(damage)
        return content, manifest, checkpoint_manifest.wrong_size(source, manifest)

    content, manifest, damage = on_first(sizes)
    if damage:
        return None, damage
    mine = checkpoint_manifest.share(manifest, groups.rank(), torch.distributed.get_world_size())
    found = [d for d in everyone(checkpoint_manifest.wrong_content(source, manifest, mine)) if d]
    return (None, min(found)) if found else (content, "")


def _set_aside(run_dir: Path, damaged: dict[int, str], used: int) -> None:
    for step, damage in damaged.items():
        renamed = checkpoint_files.set_aside(checkpoint_files.path_of(run_dir, step))
        print(
            f"checkpoint step_{step} of {run_dir} is damaged: {damage}; set aside as {renamed.name}, "
            f"going on from step_{used}",
            file=sys.stderr,
            flush=True,
        )
    if damaged:
        checkpoint_files.link(run_dir)


def _without_score(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "score"}


def _listed(found: list[int]) -> str:
    return "step " + ", ".join(map(str, found))
