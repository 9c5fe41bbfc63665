"""Checkpoints on one process: whole or not there, however the writing ended.

Damage is in test_checkpoint_damage.py, retention in test_checkpoint_files.py; other processes and layouts are in
tests/distributed/test_checkpoints.py.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.training import checkpoint, checkpoint_manifest, checkpoint_save
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.engine import Engine

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture
def engine(weights: dict[str, Path]) -> Engine:
    made = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    tiny.train(made, "sft", range(1))
    return made


def names(run_dir: Path) -> list[str]:
    return sorted(p.name for p in (run_dir / "checkpoints").iterdir())


def link(run_dir: Path, name: str) -> str:
    return os.readlink(run_dir / "checkpoints" / name)


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


def test_weights_of_a_given_step(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 1, {}, keep=2)
    kept = [p.detach().clone() for p in engine.network.parameters()]
    tiny.train(engine, "sft", range(1, 2))
    checkpoint.save(engine, tmp_path, 2, {}, keep=2)
    other = tiny.engine(tiny.config())
    assert checkpoint.load_weights(other, tmp_path, step=1) == 1
    assert all(torch.equal(a, b) for a, b in zip(kept, other.network.parameters(), strict=True))
    assert checkpoint.load_weights(other, tmp_path) == 2
    assert not all(torch.equal(a, b) for a, b in zip(kept, other.network.parameters(), strict=True))
    with pytest.raises(UserError, match="no checkpoint of step 3; there are those of step 1, 2"):
        checkpoint.load_weights(other, tmp_path, step=3)


def test_the_newest_and_the_best_are_kept(engine: Engine, tmp_path: Path) -> None:
    for step, score in ((9, 0.5), (10, 0.25), (100, 0.125)):
        checkpoint.save(engine, tmp_path, step, {"note": step}, keep=1, score=score)
    assert names(tmp_path) == ["best", "latest", "step_100", "step_9"]
    assert link(tmp_path, "best") == "step_9" and link(tmp_path, "latest") == "step_100"
    assert checkpoint.last_state(tmp_path) == {"step": 100, "note": 100}
    assert checkpoint.resume(engine, tmp_path) == {"step": 100, "note": 100}


def test_saving_a_step_again_replaces_it(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 4, {"try": 1}, keep=2)
    checkpoint.save(engine, tmp_path, 4, {"try": 2}, keep=2)
    assert checkpoint.last_state(tmp_path) == {"step": 4, "try": 2}
    assert names(tmp_path) == ["latest", "step_4"]


def test_what_a_kill_leaves_is_no_checkpoint_and_goes_with_the_next(engine: Engine, tmp_path: Path) -> None:
    checkpoint.save(engine, tmp_path, 2, {}, keep=2)
    (tmp_path / "checkpoints" / "step_2").rename(tmp_path / "checkpoints" / ".step_4.aa.tmp")  # before its rename
    (tmp_path / "checkpoints" / ".latest.tmp").symlink_to("step_2")
    assert checkpoint.resume(engine, tmp_path) is None
    checkpoint.save(engine, tmp_path, 1, {}, keep=2)
    assert checkpoint.steps(tmp_path) == [1]
    assert checkpoint.resume(engine, tmp_path) == {"step": 1}
    assert names(tmp_path) == ["latest", "step_1"]


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("moment", "background"),
    [(moment, False) for moment in ("tensors", "sums", "rng.pt", "state.json", "rename")]
    + [("tensors", True), ("sums", True), ("rename", True)],
)
def test_an_error_leaves_the_earlier_checkpoint(
    moment: str, background: bool, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(engine, tmp_path, 1, {}, keep=1)
    expected = tiny.train(engine, "sft", range(1, 3))
    checkpoints = Checkpoints(engine, tmp_path, keep=1, background=background)
    with monkeypatch.context() as patch:
        match moment:
            case "tensors":
                patch.setattr(os, "fsync", full)  # in the processes that write them
            case "sums":
                patch.setattr(checkpoint_manifest, "entry", full)
            case "rng.pt":
                patch.setattr(checkpoint_save, "_write_rng", full)
            case "state.json":
                patch.setattr(files, "write_text", full)
            case "rename":
                patch.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="step 3 could not be written.*(No space left|worker 0)"):
            checkpoints.save(3, {})
            checkpoints.close()
    assert checkpoint.steps(tmp_path) == [1]
    other = tiny.engine(tiny.config())
    assert checkpoint.resume(other, tmp_path) == {"step": 1}
    assert tiny.train(other, "sft", range(1, 3)) == expected
    checkpoints.save(3, {})  # there is room again
    checkpoints.close()
    assert names(tmp_path) == ["latest", "step_3"]


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


@pytest.mark.parametrize(
    ("room", "background"),
    [("half a checkpoint", False), ("no state.json", False), ("nothing", False), ("half a checkpoint", True)],
)
def test_a_full_disk(background: bool, room: str, engine: Engine, small_disk: Path) -> None:
    """The same as above, by the kernel instead of by a patch."""
    checkpoint.save(engine, small_disk, 1, {}, keep=1)
    disk = shutil.disk_usage(small_disk)
    state: dict[str, Any] = {}
    left = {"half a checkpoint": disk.used // 2, "no state.json": disk.used + (100 << 10), "nothing": 0}[room]
    (small_disk / "other").write_bytes(bytes(disk.free - left))
    if room == "no state.json":
        state["ledger"] = "x" * (200 << 10)  # more than is left beside the tensors
    expected = tiny.train(engine, "sft", range(1, 3))
    checkpoints = Checkpoints(engine, small_disk, keep=1, background=background)
    with pytest.raises(OSError, match=r"step 3 could not be written.* \d+ MB free"):
        checkpoints.save(3, state)
        checkpoints.close()
    other = tiny.engine(tiny.config())
    assert checkpoint.resume(other, small_disk) == {"step": 1}
    assert tiny.train(other, "sft", range(1, 3)) == expected


@pytest.fixture
def slow_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing in the background starts only when training has changed the weights."""
    write = checkpoint_save._write_and_sum

    def late(*arguments: Any) -> None:
        time.sleep(0.5)
        write(*arguments)

    monkeypatch.setattr(checkpoint_save, "_write_and_sum", late)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_in_the_background_the_moment_of_the_save_is_saved(
    precision: str, weights: dict[str, Path], tmp_path: Path, slow_writer: None
) -> None:
    engine = tiny.engine(tiny.config(precision=precision), weights["qwen2.5-tiny"])
    tiny.train(engine, "sft", range(1))
    ledger = [1]
    checkpoints = Checkpoints(engine, tmp_path / "background", keep=2, background=True)
    rng_state = torch.get_rng_state()
    checkpoints.save(1, {"ledger": ledger}, score=0.5)
    ledger.append(2)
    torch.rand(1)
    expected = tiny.train(engine, "sft", range(1, 3))
    checkpoints.poll()
    assert checkpoint.steps(tmp_path / "background") == [], "the writer was not slow enough to show anything"
    checkpoints.close()

    same = tiny.engine(tiny.config(precision=precision), weights["qwen2.5-tiny"])
    tiny.train(same, "sft", range(1))
    torch.set_rng_state(rng_state)
    checkpoint.save(same, tmp_path / "waiting", 1, {"ledger": [1]}, keep=2, score=0.5)
    first, second = (tmp_path / name / "checkpoints" / "step_1" for name in ("background", "waiting"))
    found = sorted(f.name for f in second.iterdir())
    assert found == sorted(f.name for f in first.iterdir()) and "__0_0.distcp" in found
    for name in found:
        if name not in (".metadata", "state.json"):  # pickles to a few bytes more or less
            assert (first / name).read_bytes() == (second / name).read_bytes(), name
    other = tiny.engine(tiny.config(precision=precision))
    assert checkpoint.resume(other, tmp_path / "background") == {"step": 1, "ledger": [1]}
    assert tiny.train(other, "sft", range(1, 3)) == expected


def test_a_run_that_ends_before_its_save_has_the_one_before(engine: Engine, tmp_path: Path, slow_writer: None) -> None:
    Checkpoints(engine, tmp_path, keep=2, background=False).save(1, {})
    Checkpoints(engine, tmp_path, keep=2, background=True).save(2, {})  # nobody polls or closes it
    assert checkpoint.resume(engine, tmp_path) == {"step": 1}
    (left,) = (name for name in names(tmp_path) if name.startswith("."))
    checkpoint.save(engine, tmp_path, 3, {}, keep=2)  # while the writers of the lost one are at work
    time.sleep(0.7)
    assert not (tmp_path / "checkpoints" / left).exists()
    assert checkpoint.resume(engine, tmp_path) == {"step": 3}
    assert names(tmp_path) == ["latest", "step_1", "step_3"]


def test_a_save_waits_for_the_one_before(engine: Engine, tmp_path: Path, slow_writer: None) -> None:
    checkpoints = Checkpoints(engine, tmp_path, keep=5, background=True)
    checkpoints.save(1, {})
    checkpoints.save(2, {})
    assert checkpoint.steps(tmp_path) == [1]
    checkpoints.close()
    checkpoints.close()
    assert checkpoint.steps(tmp_path) == [1, 2]


def test_poll_finishes_what_is_written(engine: Engine, tmp_path: Path) -> None:
    checkpoints = Checkpoints(engine, tmp_path, keep=5, background=True)
    checkpoints.poll()
    checkpoints.save(1, {})
    limit = time.monotonic() + 30
    while not checkpoint.steps(tmp_path) and time.monotonic() < limit:
        time.sleep(0.05)
        checkpoints.poll()
    assert names(tmp_path) == ["latest", "step_1"]


def test_a_writer_that_is_killed(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(engine, tmp_path, 1, {}, keep=1)
    checkpoints = Checkpoints(engine, tmp_path, keep=1, background=True)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_save, "_write_and_sum", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        checkpoints.save(2, {})
    with pytest.raises(OSError, match="step 2 could not be written"):
        checkpoints.close()
    assert checkpoint.steps(tmp_path) == [1]
