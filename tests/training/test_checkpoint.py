"""Checkpoints on one process: whole or not there, however the writing ended.

Resuming in other processes and layouts is in tests/distributed/test_checkpoints.py.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.training import checkpoint
from fleming_nemo.training.engine import Engine

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture
def engine(weights: dict[str, Path]) -> Engine:
    made = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    tiny.train(made, "sft", range(1))
    return made


def names(run_dir: Path) -> list[str]:
    return sorted(p.name for p in (run_dir / "checkpoints").iterdir())


def test_nothing_saved_yet(engine: Engine, tmp_path: Path) -> None:
    assert checkpoint.steps(tmp_path) == []
    assert checkpoint.resume(engine, tmp_path) is None
    assert checkpoint.last_state(tmp_path) == {}
    with pytest.raises(UserError, match="no checkpoint to start from"):
        checkpoint.load_weights(engine, tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resume_restores_weights_optimizer_and_random_state(
    precision: str, weights: dict[str, Path], tmp_path: Path
) -> None:
    cfg = tiny.config(precision=precision)
    engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
    tiny.train(engine, "sft", range(1))
    checkpoint.save(engine, tmp_path, 1, {"ledger": [{"item_id": "a"}]}, keep=2)
    drawn = torch.rand(3)
    expected = tiny.train(engine, "sft", range(1, 4))
    other = tiny.engine(cfg)
    assert checkpoint.resume(other, tmp_path) == {"step": 1, "ledger": [{"item_id": "a"}]}
    assert torch.equal(torch.rand(3), drawn)
    assert tiny.train(other, "sft", range(1, 4)) == expected
    assert checkpoint.last_state(tmp_path)["ledger"] == [{"item_id": "a"}]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_of_an_earlier_stage_come_with_a_fresh_optimizer(
    precision: str, weights: dict[str, Path], tmp_path: Path
) -> None:
    cfg = tiny.config(precision=precision)
    engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
    tiny.train(engine, "sft", range(1))
    checkpoint.save(engine, tmp_path, 1, {}, keep=2)
    kept = [p.detach().clone() for p in engine.network.parameters()]
    other = tiny.engine(cfg)
    assert checkpoint.load_weights(other, tmp_path) == 1
    assert all(torch.equal(a, b) for a, b in zip(kept, other.network.parameters(), strict=True))
    # the optimizer works on these weights, not on copies of the random ones, and without the moments of the old one
    fresh, old = (tiny.train(e, "sft", range(1, 3)) for e in (other, engine))
    assert fresh[0] == old[0]
    assert fresh[1]["loss"] == pytest.approx(old[1]["loss"], rel=0.02) and fresh[1] != old[1]


def test_the_newest_ones_are_kept_by_number(engine: Engine, tmp_path: Path) -> None:
    for step in (8, 9, 10, 100):
        checkpoint.save(engine, tmp_path, step, {}, keep=2)
    assert checkpoint.steps(tmp_path) == [10, 100]
    assert names(tmp_path) == ["step_10", "step_100"]


def test_saving_a_step_again_replaces_it(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 4, {"try": 1}, keep=2)
    checkpoint.save(engine, tmp_path, 4, {"try": 2}, keep=2)
    assert checkpoint.last_state(tmp_path) == {"step": 4, "try": 2}


def test_what_a_kill_leaves_is_no_checkpoint_and_goes_with_the_next(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 2, {}, keep=2)
    (tmp_path / "checkpoints" / "step_2").rename(tmp_path / "checkpoints" / ".step_4.tmp")  # killed before the rename
    checkpoint.save(engine, tmp_path, 1, {}, keep=2)
    assert checkpoint.steps(tmp_path) == [1]
    assert checkpoint.resume(engine, tmp_path) == {"step": 1}
    assert names(tmp_path) == ["step_1"]


def test_a_directory_without_its_state_is_no_checkpoint(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 1, {}, keep=2)
    checkpoint.save(engine, tmp_path, 2, {}, keep=2)
    (tmp_path / "checkpoints" / "step_2" / "state.json").unlink()
    assert checkpoint.steps(tmp_path) == [1]
    assert checkpoint.resume(engine, tmp_path) == {"step": 1}


@pytest.mark.parametrize(
    "name", ["__0_0.distcp", "__0_1.distcp", ".metadata", "metadata.json", "common.pt", "rng.pt", "state.json"]
)
@pytest.mark.parametrize("what", ["cut", "deleted"])
def test_a_damaged_checkpoint_is_refused_by_name(what: str, name: str, saved: tuple[Engine, Path]) -> None:
    engine, run_dir = saved
    file = run_dir / "checkpoints" / "step_1" / name
    content = file.read_bytes()
    before = [p.detach().clone() for p in engine.network.parameters()]
    if what == "deleted":
        file.unlink()
    else:
        file.write_bytes(content[:-3])
    try:
        if (name, what) == ("state.json", "deleted"):
            assert checkpoint.steps(run_dir) == []
            return
        for load in (checkpoint.resume, checkpoint.load_weights):
            with pytest.raises(UserError, match=f"step_1 is damaged: {name} .*delete this directory"):
                load(engine, run_dir)
        assert all(torch.equal(a, b) for a, b in zip(before, engine.network.parameters(), strict=True))
    finally:
        file.write_bytes(content)


@pytest.fixture(scope="module")
def saved(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Path]:
    """One checkpoint for all tests that damage it and mend it."""
    engine, run_dir = tiny.engine(tiny.config(), weights["qwen2.5-tiny"]), tmp_path_factory.mktemp("saved")
    tiny.train(engine, "sft", range(1))
    checkpoint.save(engine, run_dir, 1, {}, keep=1)
    return engine, run_dir


@pytest.mark.parametrize("moment", ["tensors", "state.json", "rename"])
def test_an_error_leaves_the_earlier_checkpoint(
    moment: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(engine, tmp_path, 1, {}, keep=1)
    expected = tiny.train(engine, "sft", range(1, 3))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        match moment:
            case "tensors":
                patch.setattr(os, "fsync", full)  # in the processes that write them
            case "state.json":
                patch.setattr(checkpoint.files, "write_text", full)
            case "rename":
                patch.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(engine, tmp_path, 3, {}, keep=1)
    assert checkpoint.steps(tmp_path) == [1]
    other = tiny.engine(tiny.config())
    assert checkpoint.resume(other, tmp_path) == {"step": 1}
    assert tiny.train(other, "sft", range(1, 3)) == expected


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(engine: Engine, small_disk: Path) -> None:
    """The same as above, by the kernel instead of by a patch: there is room for half a checkpoint more."""
    checkpoint.save(engine, small_disk, 1, {}, keep=1)
    disk = shutil.disk_usage(small_disk)
    (small_disk / "other").write_bytes(bytes(disk.free - disk.used // 2))
    expected = tiny.train(engine, "sft", range(1, 3))
    with pytest.raises(OSError, match=r"step 3 could not be written.* \d+ MB free"):
        checkpoint.save(engine, small_disk, 3, {}, keep=1)
    other = tiny.engine(tiny.config())
    assert checkpoint.resume(other, small_disk) == {"step": 1}
    assert tiny.train(other, "sft", range(1, 3)) == expected
