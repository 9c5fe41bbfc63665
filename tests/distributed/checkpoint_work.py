"""What the ranks do in tests of checkpoints, beyond saving, resuming and going on (those are in work.py)."""

import time
from pathlib import Path
from typing import Any
from unittest import mock

import tiny
import work

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.sft import run as sft_run
from fleming_nemo.training import checkpoint, checkpoint_manifest, checkpoint_save
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.checkpoint_manifest import Entry


def save_two(cfg: RunConfig, folder: Path, run_dir: Path) -> None:
    """Checkpoints after one and after two steps."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    for step in range(2):
        tiny.train(engine, "sft", range(step, step + 1))
        checkpoint.save(engine, run_dir, step + 1, {}, keep=2)


def resume_where_one_rank_cannot_read(cfg: RunConfig, run_dir: Path) -> list[dict[str, Any] | None]:
    """Rank 1's disk fails for whatever it reads of step_2; what every rank resumed."""
    groups.init(cfg.parallel, seed=8)
    entry = checkpoint_manifest.entry

    def failing(path: Path) -> Entry:
        if groups.rank() == 1 and path.parent.name == "step_2":
            raise OSError(5, "Input/output error")
        return entry(path)

    with mock.patch.object(checkpoint_manifest, "entry", failing):
        return everyone(checkpoint.resume(tiny.engine(cfg), run_dir))


def refused(cfg: RunConfig, run_dir: Path) -> list[str]:
    """What every rank says to a start from a damaged checkpoint."""
    groups.init(cfg.parallel, seed=8)
    engine, said = tiny.engine(cfg), []
    for load in (checkpoint.load_weights, checkpoint.resume):
        try:
            load(engine, run_dir)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return everyone(said)


def save_while_training(cfg: RunConfig, folder: Path, run_dir: Path) -> dict[str, Any]:
    """Three steps, a save in the background whose last writer starts during the next two; the same save, waited for."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    tiny.train(engine, "sft", range(3))
    write = checkpoint_save._write_and_sum

    def late(*arguments: Any) -> None:
        time.sleep(2.0 * groups.rank())
        write(*arguments)

    checkpoints = Checkpoints(engine, run_dir / "background", keep=1, background=True)
    with mock.patch.object(checkpoint_save, "_write_and_sum", late):
        checkpoints.save(3, {"note": "x"})
    unfinished = []
    for step in (3, 4):
        tiny.train(engine, "sft", range(step, step + 1))
        checkpoints.poll()
        unfinished.append(not checkpoint.steps(run_dir / "background"))
    checkpoints.close()
    same = tiny.engine(cfg, folder)
    tiny.train(same, "sft", range(3))
    checkpoint.save(same, run_dir / "waiting", 3, {"note": "x"}, keep=1)
    return {"unfinished": unfinished, "state": work.fingerprint(engine)}


def resumed_from(cfg: RunConfig, run_dir: Path) -> list[dict[str, str]]:
    """State of weights and optimizer two steps after the resume."""
    groups.init(cfg.parallel, seed=8)
    engine = tiny.engine(cfg)
    assert checkpoint.resume(engine, run_dir) == {"step": 3, "note": "x"}
    tiny.train(engine, "sft", range(3, 5))
    return work.fingerprint(engine)


def fail_on_one_rank(cfg: RunConfig, folder: Path, run_dir: Path, background: bool) -> list[str]:
    """Rank 1's disk is full when it sums what it wrote; what every rank says."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    checkpoint.save(engine, run_dir, 1, {}, keep=1)  # before the first update, which may have been skipped
    entry = checkpoint_manifest.entry

    def full(path: Path) -> Entry:
        if groups.rank() == 1 and path.name.startswith("__1_"):
            raise OSError(28, "No space left on device")
        return entry(path)

    checkpoints = Checkpoints(engine, run_dir, keep=1, background=background)
    with mock.patch.object(checkpoint_manifest, "entry", full):
        try:
            checkpoints.save(2, {})
            checkpoints.close()
            said = "saved"
        except OSError as error:
            said = str(error)
    assert checkpoint.steps(run_dir) == [1]
    return everyone(said)


def train(cfg: RunConfig, background: bool) -> list[dict[str, str]]:
    """The training of an SFT run as a recipe starts it; state of weights and optimizer at its end."""
    with mock.patch.object(checkpoint_save, "in_background", lambda: background):
        engine, _, _ = sft_run.train(cfg)
    return work.fingerprint(engine)
