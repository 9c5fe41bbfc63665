"""Damaged checkpoints: found before anything is loaded, said in a sentence, and replaced by the one before."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from fleming_nemo.config.errors import UserError
from fleming_nemo.training import checkpoint, checkpoint_manifest
from fleming_nemo.training.engine import Engine

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def saved(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    """A run with checkpoints of steps 1 and 2, and the metrics of the two steps after the first."""
    engine, run_dir = tiny.engine(tiny.config(), weights["qwen2.5-tiny"]), tmp_path_factory.mktemp("saved")
    tiny.train(engine, "sft", range(1))
    checkpoint.save(engine, run_dir, 1, {"note": "first"}, keep=2)
    metrics = tiny.train(engine, "sft", range(1, 2))
    checkpoint.save(engine, run_dir, 2, {"note": "second"}, keep=2, score=0.5)
    return run_dir, metrics + tiny.train(engine, "sft", range(2, 3))


@pytest.fixture
def run_dir(saved: tuple[Path, list[dict[str, float]]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[0], tmp_path / "run", symlinks=True))


@pytest.fixture(scope="module")
def engine(one_process: None) -> Engine:
    """With other weights than any checkpoint."""
    return tiny.engine(tiny.config())


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 3)


def flip(file: Path) -> None:
    """One bit in the middle; the size stays."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def garble(file: Path) -> None:
    file.write_text('{"step": 2, "note": "sec')


def empty(file: Path) -> None:
    for other in file.parent.iterdir():
        other.unlink()


def forget(file: Path) -> None:
    """Take the sums out of state.json."""
    file.write_text('{"step": 2, "note": "second"}')


FILES = ("__0_0.distcp", ".metadata", "metadata.json", "rng.pt", "state.json")
DAMAGE: list[tuple[Callable[[Path], None], str, str]] = [
    *((cut, name, r"bytes where|cannot be read") for name in FILES),
    *((flip, name, r"holds other bytes|state.json (cannot be read|is not as|lists files|has no)") for name in FILES),
    *((Path.unlink, name, "is missing") for name in FILES),
    (garble, "state.json", "cannot be read"),
    (forget, "state.json", "has no 'crc32'"),
    (empty, "state.json", "is missing"),
]


@pytest.mark.parametrize(("damage", "name", "said"), DAMAGE, ids=[f"{d.__name__} {n}" for d, n, _ in DAMAGE])
def test_resume_takes_the_one_before(
    damage: Callable[[Path], None],
    name: str,
    said: str,
    run_dir: Path,
    engine: Engine,
    saved: tuple[Path, list[dict[str, float]]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    damage(run_dir / "checkpoints" / "step_2" / name)
    assert checkpoint.resume(engine, run_dir) == {"step": 1, "note": "first"}
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "damaged" in line]
    start, end = (
        f"checkpoint step_2 of {run_dir} is damaged: {name} ",
        "set aside as step_2.damaged, going on from step_1",
    )
    assert line.startswith(start) and line.endswith(end)
    assert re.search(said, line)
    folder = run_dir / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["latest", "step_1", "step_2.damaged"]
    assert os.readlink(folder / "latest") == "step_1"
    assert tiny.train(engine, "sft", range(1, 3)) == saved[1]


def test_the_step_can_be_saved_again(run_dir: Path, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    flip(run_dir / "checkpoints" / "step_2" / "__0_0.distcp")
    checkpoint.resume(engine, run_dir)
    tiny.train(engine, "sft", range(1, 2))
    checkpoint.save(engine, run_dir, 2, {"note": "again"}, keep=2)
    assert "damaged" in capfd.readouterr().err
    assert checkpoint.resume(engine, run_dir) == {"step": 2, "note": "again"}
    assert "damaged" not in capfd.readouterr().err
    assert (run_dir / "checkpoints" / "step_2.damaged").is_dir()


def test_without_a_whole_one_nothing_starts(run_dir: Path, engine: Engine) -> None:
    for step in (1, 2):
        flip(run_dir / "checkpoints" / f"step_{step}" / "__0_0.distcp")
    before = [p.detach().clone() for p in engine.network.parameters()]
    for _ in range(2):  # also when it is started again
        with pytest.raises(UserError, match=r"no checkpoint of .* is whole \(step_2: __0_0.*; step_1: __0_0.*delete"):
            checkpoint.resume(engine, run_dir)
    assert all((a == b).all() for a, b in zip(before, engine.network.parameters(), strict=True))
    assert checkpoint.steps(run_dir) == [1, 2]


def test_what_was_set_aside_is_not_forgotten(run_dir: Path, engine: Engine) -> None:
    """Somebody deleted the good one: the run does not start from zero as if there had been none."""
    cut(run_dir / "checkpoints" / "step_2" / "rng.pt")
    checkpoint.resume(engine, run_dir)
    shutil.rmtree(run_dir / "checkpoints" / "step_1")
    with pytest.raises(UserError, match=r"is whole \(step_2.damaged\); "):
        checkpoint.resume(engine, run_dir)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_the_next_stage_does_not_start_from_other_weights(
    damage: Callable[[Path], None], run_dir: Path, engine: Engine
) -> None:
    damage(run_dir / "checkpoints" / "step_2" / "__0_0.distcp")
    before = [p.detach().clone() for p in engine.network.parameters()]
    for step in (None, 2):
        with pytest.raises(UserError, match=r"step_2 is damaged: __0_0.distcp .*repeat the command.*those of step 1"):
            checkpoint.load_weights(engine, run_dir, step)
    assert all((a == b).all() for a, b in zip(before, engine.network.parameters(), strict=True))
    assert checkpoint.steps(run_dir) == [1, 2], "it is another run's folder: nothing is renamed"
    assert checkpoint.load_weights(engine, run_dir, step=1) == 1


def test_the_state_of_a_damaged_one_is_not_read(run_dir: Path) -> None:
    garble(run_dir / "checkpoints" / "step_2" / "state.json")
    with pytest.raises(UserError, match="step_2 is damaged: state.json cannot be read"):
        checkpoint.last_state(run_dir)


def test_a_file_that_cannot_be_read(
    run_dir: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk with a bad block, which only reading finds."""
    entry = checkpoint_manifest.entry

    def bad_block(path: Path) -> dict[str, object]:
        if path.parent.name == "step_2" and path.name == "__0_0.distcp":
            raise OSError(5, "Input/output error")
        return entry(path)

    monkeypatch.setattr(checkpoint_manifest, "entry", bad_block)
    assert checkpoint.resume(engine, run_dir) == {"step": 1, "note": "first"}
    assert "__0_0.distcp cannot be read (Input/output error)" in capfd.readouterr().err
