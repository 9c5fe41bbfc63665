"""Writes that are whole or not there at all."""

import hashlib
import os
from pathlib import Path

import pytest

from fleming_nemo.data import files


def test_round_trips(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a" / "x.json", {"name": "Sjögren", "n": [1, 2.5, None]})
    assert files.read_json(tmp_path / "a" / "x.json") == {"name": "Sjögren", "n": [1, 2.5, None]}
    files.write_jsonl(tmp_path / "x.jsonl", [{"line": "a\nb"}, {"line": "\u2028"}])
    assert (tmp_path / "x.jsonl").read_bytes().count(b"\n") == 2
    assert files.sha256(tmp_path / "x.jsonl") == hashlib.sha256((tmp_path / "x.jsonl").read_bytes()).hexdigest()


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    file = tmp_path / "state.json"
    files.write_text(file, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(OSError, match="No space"):
            files.write_text(file, "new")
    assert file.read_text() == "old"
    files.write_text(file, "new")
    assert file.read_text() == "new"
