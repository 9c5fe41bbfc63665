"""The `checkpoints/` folder and the manifest, with made-up checkpoints."""

import os
import zlib
from pathlib import Path

import pytest

from fleming_nemo.training import checkpoint_files, checkpoint_manifest
from fleming_nemo.training.checkpoint_files import Damaged


def add(run_dir: Path, step: int, keep: int, **content: object) -> None:
    """A checkpoint of one file, made as a save makes it."""
    temporary = checkpoint_files.new_temporary(run_dir, step)
    (temporary / "tensors").write_bytes(b"abc")
    manifest = {"tensors": checkpoint_manifest.entry(temporary / "tensors")}
    checkpoint_files.write_state(temporary, {"step": step, **content}, manifest)
    checkpoint_files.publish(temporary, checkpoint_files.path_of(run_dir, step))
    checkpoint_files.prune(run_dir, keep)


def links(run_dir: Path) -> dict[str, str]:
    folder = checkpoint_files.folder_of(run_dir)
    return {p.name: os.readlink(p) for p in folder.iterdir() if p.is_symlink()}


def test_the_newest_stay_by_number(tmp_path: Path) -> None:
    for step in (8, 9, 10, 100):
        add(tmp_path, step, keep=2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["latest", "step_10", "step_100"]
    assert links(tmp_path) == {"latest": "step_100"}


def test_the_best_stays_besides(tmp_path: Path) -> None:
    seen = []
    for step, score in enumerate([-3.0, 0.25, 0.125, float("nan"), 0.25, None, 1.0], start=1):
        add(tmp_path, step, keep=1, **({} if score is None else {"score": score}))
        assert links(tmp_path)["latest"] == f"step_{step}"
        seen.append((checkpoint_files.steps(tmp_path), links(tmp_path)["best"]))
    assert seen == [
        ([1], "step_1"),
        ([2], "step_2"),
        ([2, 3], "step_2"),
        ([2, 4], "step_2"),  # not a number is no good score
        ([5], "step_5"),  # of two equal ones the newer
        ([5, 6], "step_5"),
        ([7], "step_7"),
    ]


def test_only_directories_of_that_name_count(tmp_path: Path) -> None:
    for step in (1, 20):
        add(tmp_path, step, keep=5, score=1.0)
    folder = tmp_path / "checkpoints"
    for name in ("step_30.damaged", ".step_40.aa.tmp", "step_", "step_5x", "other"):
        (folder / name).mkdir()
    (folder / "step_50").write_text("a file")
    (folder / "step_60").symlink_to("step_20")
    (folder / "step_70").mkdir()
    assert checkpoint_files.directories(tmp_path) == [1, 20, 70]
    assert checkpoint_files.steps(tmp_path) == [1, 20]
    assert checkpoint_files.set_aside_before(tmp_path) == ["step_30.damaged"]


def test_no_two_writers_meet_in_a_directory(tmp_path: Path) -> None:
    """Those of a killed run may still be at work when the next one comes to the same step."""
    first = checkpoint_files.new_temporary(tmp_path, 4)
    second = checkpoint_files.new_temporary(tmp_path, 4)
    assert first != second and not first.exists() and list(second.iterdir()) == []


def test_a_damaged_one_is_set_aside_under_a_free_name(tmp_path: Path) -> None:
    for _ in range(3):
        add(tmp_path, 4, keep=1)
        checkpoint_files.set_aside(checkpoint_files.path_of(tmp_path, 4))
    assert checkpoint_files.set_aside_before(tmp_path) == ["step_4.damaged", "step_4.damaged2", "step_4.damaged3"]
    checkpoint_files.link(tmp_path)
    assert links(tmp_path) == {}


def test_a_damaged_score_is_not_the_best(tmp_path: Path) -> None:
    add(tmp_path, 1, keep=5, score=2.0)
    add(tmp_path, 2, keep=5, score=1.0)
    (tmp_path / "checkpoints" / "step_1" / "state.json").write_text("{")
    assert checkpoint_files.best_step(tmp_path) == 2


@pytest.mark.parametrize("byte", range(0, 160, 7))
def test_no_flipped_bit_of_state_json_goes_unnoticed(byte: int, tmp_path: Path) -> None:
    add(tmp_path, 12, keep=1, score=0.5, ledger=[{"item": "a", "correct": 3}], note="x" * 20)
    source = checkpoint_files.path_of(tmp_path, 12)
    state = source / "state.json"
    content = bytearray(state.read_bytes())
    whole = checkpoint_files.read_state(source)
    content[byte] ^= 1
    state.write_bytes(content)
    try:
        found, manifest = checkpoint_files.read_state(source)
    except Damaged:
        return
    wrong = checkpoint_manifest.wrong_size(source, manifest) or checkpoint_manifest.wrong_content(
        source, manifest, list(manifest)
    )
    assert wrong or (found, manifest) == whole, "a changed state was taken for the one that was written"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "state.json cannot be read"),
        ("[]", "state.json has no 'step'"),
        ('{"step": 4}', "state.json has no 'crc32'"),
        ('{"step": 4, "crc32": "0", "files": {}}', "state.json is not as it was written"),
        ("\xff", "state.json cannot be read"),
    ],
)
def test_what_is_no_state(text: str, said: str, tmp_path: Path) -> None:
    add(tmp_path, 4, keep=1)
    source = checkpoint_files.path_of(tmp_path, 4)
    (source / "state.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(Damaged, match=said):
        checkpoint_files.read_state(source)
    (source / "state.json").unlink()
    with pytest.raises(Damaged, match="state.json is missing"):
        checkpoint_files.read_state(source)


def test_a_checkpoint_under_another_number_is_not_as_it_was_written(tmp_path: Path) -> None:
    add(tmp_path, 4, keep=1)
    source = checkpoint_files.path_of(tmp_path, 4)
    with pytest.raises(Damaged, match="not as it was written"):
        checkpoint_files.read_state(source.rename(checkpoint_files.path_of(tmp_path, 5)))


@pytest.mark.parametrize("size", [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20])
def test_sums_are_those_of_the_whole_file(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert checkpoint_manifest.entry(tmp_path / "file") == {"bytes": size, "crc32": f"{zlib.crc32(content):08x}"}


def test_ranks_share_the_files_evenly() -> None:
    manifest = {f"file{n}": {"bytes": n * 10, "crc32": ""} for n in range(1, 41)}
    shares = [checkpoint_manifest.share(manifest, rank, 4) for rank in range(4)]
    assert sorted(name for mine in shares for name in mine) == sorted(manifest)
    loads = [sum(manifest[name]["bytes"] for name in mine) for mine in shares]
    assert max(loads) - min(loads) <= 40
    assert [checkpoint_manifest.share({"a": {"bytes": 1}}, rank, 3) for rank in range(3)] == [["a"], [], []]
