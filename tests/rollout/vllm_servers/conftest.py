"""Fake servers for every quick test of this folder."""

from pathlib import Path

import fake_lab
import pytest


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fake_lab.Lab:
    return fake_lab.build(tmp_path, monkeypatch)
