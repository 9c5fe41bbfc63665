"""Stages are done once, and again when what they depend on has changed: inputs, arguments, or any code of rods."""

import shutil
from pathlib import Path

import pytest

import fleming_nemo
from fleming_nemo.config.errors import UserError
from fleming_nemo.rods import stages
from fleming_nemo.rods.stages import Shard, alone, code_version, run_shards


def note(folder, text):
    (folder / "text.txt").write_text(text)
    return {"letters": len(text)}


def stamps(shards):
    return [(s.folder / "text.txt").stat().st_mtime_ns for s in shards]


def test_only_what_changed_is_done_again(tmp_path):
    def made(*texts):
        return [Shard(tmp_path / str(n), note, (text,), text) for n, text in enumerate(texts)]

    assert run_shards(made("one", "three"), 1, "notes") == [{"letters": 3}, {"letters": 5}]
    before = stamps(made("one", "three"))
    assert run_shards(made("one", "four"), 1, "notes") == [{"letters": 3}, {"letters": 4}]
    after = stamps(made("one", "four"))
    assert before[0] == after[0] and before[1] != after[1]
    (tmp_path / "0" / "DONE.json").write_text("{torn")
    run_shards(made("one", "four"), 2, "notes")
    assert stamps(made("one", "four"))[0] != after[0]


@pytest.mark.parametrize(
    "changed", ["synth/walks.py", "overlap/minhash.py", "kg/readers/hpo.py", "curated/sources.yaml"]
)
def test_the_version_covers_all_code_that_shapes_the_output(tmp_path, monkeypatch, changed):
    root = Path(fleming_nemo.__file__).parent
    shutil.copytree(root / "rods", tmp_path / "rods")
    (tmp_path / "data").mkdir()
    shutil.copy(root / "data" / "items.py", tmp_path / "data")
    versions = []
    monkeypatch.setattr(stages, "files", lambda package: tmp_path)
    for _ in range(2):
        code_version.cache_clear()
        versions.append((code_version(), code_version("kg"), code_version("synth", "evidence.py")))
        path = tmp_path / "rods" / changed
        path.write_text(path.read_text() + "# changed\n")
    code_version.cache_clear()
    (whole, kg, synth), (whole_after, kg_after, synth_after) = versions
    assert whole != whole_after
    assert (kg != kg_after, synth != synth_after) == (changed.startswith("kg"), changed.startswith("synth"))


def test_one_process_at_a_time(tmp_path):
    with alone(tmp_path), pytest.raises(UserError, match="another build"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
