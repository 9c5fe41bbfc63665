"""What is on disk decides; the packages are stand-ins of the same layout, and nothing of them is imported."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import extensions

ROOT = Path(__file__).parents[2]
TRAP = "raise RuntimeError('imported')\n"


def package(root: Path, name: str, files: dict[str, str], dist: str | None = None, version: str = "0") -> Path:
    for file, text in {f"{name}/__init__.py": TRAP, **files}.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    if dist is not None:
        distribution(root, dist, version)
    return root


def distribution(root: Path, dist: str, version: str) -> None:
    folder = root / f"{dist.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")


def whole_te(root: Path, version: str = "2.20.2", torch: str = "2.20.2") -> None:
    libraries = {
        "transformer_engine/wheel_lib/libtransformer_engine.so": "",
        "transformer_engine_torch.cpython-311-x86_64-linux-gnu.so": "",
    }
    package(root, "transformer_engine", libraries, "transformer-engine", version)
    distribution(root, "transformer-engine-cu12", version)
    distribution(root, "transformer-engine-torch", torch)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_nothing_installed_is_no_fault() -> None:
    extensions.check_extensions()
    assert extensions.installed() == {"apex": "absent", "transformer-engine": "absent"}
    assert not extensions.transformer_engine().usable


def test_another_apex_is_refused(site: Path) -> None:
    package(site, "apex", {"apex/views.py": ""}, "apex", "0.9.10")
    with pytest.raises(UserError, match=rf"apex in {site}/apex is not NVIDIA's .*; remove it with `pip uninstall apex"):
        extensions.check_extensions()


def test_a_plain_folder_named_apex_is_refused(site: Path) -> None:
    (site / "apex").mkdir()
    with pytest.raises(UserError, match="is not NVIDIA's"):
        extensions.check_extensions()


def test_the_apex_of_nvidia_is_taken(site: Path) -> None:
    package(site, "apex", {"apex/optimizers/__init__.py": TRAP}, "apex", "0.1")
    extensions.check_extensions()
    assert extensions.installed()["apex"] == "0.1"


def test_the_meta_package_alone_is_refused(site: Path) -> None:
    package(site, "transformer_engine", {"transformer_engine/pytorch/__init__.py": ""}, "transformer-engine", "2.20.2")
    with pytest.raises(UserError) as refused:
        extensions.check_extensions()
    assert "lacks its core library and torch library" in str(refused.value)
    assert "pip install --no-build-isolation 'transformer-engine[pytorch]==2.20.2'" in str(refused.value)
    assert not extensions.transformer_engine().usable


def test_the_core_alone_is_refused(site: Path) -> None:
    package(
        site,
        "transformer_engine",
        {"transformer_engine/wheel_lib/libtransformer_engine.so": ""},
        "transformer-engine",
        "2.20.2",
    )
    with pytest.raises(UserError, match="lacks its torch library"):
        extensions.check_extensions()


def test_a_whole_transformer_engine_is_taken(site: Path) -> None:
    whole_te(site)
    extensions.check_extensions()
    assert extensions.transformer_engine().usable
    assert extensions.installed()["transformer-engine"] == "2.20.2"


def test_a_build_from_source_is_taken(site: Path) -> None:
    libraries = {"libtransformer_engine.so": "", "transformer_engine_torch.so": ""}
    package(site, "transformer_engine", libraries)
    assert extensions.transformer_engine() == extensions.Extension("transformer-engine", "unknown")
    assert extensions.transformer_engine().usable


def test_parts_of_two_versions_are_refused(site: Path) -> None:
    whole_te(site, torch="2.19.0")
    with pytest.raises(UserError, match="transformer-engine 2.20.2 and transformer-engine-torch 2.19.0 do not work"):
        extensions.check_extensions()


MISLEADING = {
    "apex": ({"apex/views.py": "", "apex/__init__.py": ""}, "the package apex in"),
    "transformer_engine": ({}, "Transformer Engine in"),
}


@pytest.mark.parametrize("name", MISLEADING)
def test_a_recipe_says_it_in_one_sentence(name: str, tmp_path: Path) -> None:
    """As a user meets it: the package comes with the environment, and the recipe is started."""
    files, sentence = MISLEADING[name]
    path = os.pathsep.join([str(package(tmp_path / "site", name, files)), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "recipes/sft_7b.py", "--tiny", f"run_dir={tmp_path}/run", f"data.dir={tmp_path}/data"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1


def test_the_stand_ins_would_mislead(site: Path) -> None:
    """They are what pip and Python see as the packages, and importing them fails as upstream's does."""
    package(site, "transformer_engine", {}, "transformer-engine", "2.20.2")
    assert importlib.metadata.version("transformer-engine") == "2.20.2"
    with pytest.raises(RuntimeError, match="imported"):
        importlib.import_module("transformer_engine")
