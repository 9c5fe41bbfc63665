"""Which accelerator libraries megatron-core will find here: NVIDIA apex and Transformer Engine.

megatron-core decides by importing them.  Two packages that pip installs without complaint mislead it: `apex` on PyPI
has nothing to do with NVIDIA's, and `transformer-engine` without an extra holds no libraries and raises RuntimeError on
import, where megatron-core expects ImportError.  Both are told apart here by what lies on disk, without an import, so
that the question can be asked before megatron-core asks it.  Nothing here imports torch.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fleming_nemo.config.errors import UserError

APEX_SOURCE = "https://github.com/NVIDIA/apex"


@dataclass(frozen=True)
class Extension:
    """What was found of one library.

    Attributes:
        version: as pip knows it; None where the library is absent, "unknown" for a source tree.
        fault: why it cannot be used and what to do, one sentence; None where it can be or is absent.
    """

    name: str
    version: str | None = None
    fault: str | None = None

    @property
    def usable(self) -> bool:
        return self.version is not None and self.fault is None


def check_extensions() -> None:
    """Raise a UserError for a library that megatron-core would trip over; one that is absent is no fault."""
    for extension in (apex(), transformer_engine()):
        if extension.fault is not None:
            raise UserError(extension.fault)


def installed() -> dict[str, str]:
    """Name -> version of each library, or `absent`; for the run card."""
    return {e.name: e.version or "absent" for e in (apex(), transformer_engine())}


def apex() -> Extension:
    """NVIDIA's apex, known by its optimizers; without it megatron-core takes Transformer Engine's or torch's."""
    folders = _folders("apex")
    if folders is None:
        return Extension("apex")
    if any((folder / "optimizers" / "__init__.py").is_file() for folder in folders):
        return Extension("apex", _version("apex"))
    where = folders[0] if folders else "sys.path"
    return Extension(
        "apex",
        _version("apex"),
        f"the package apex in {where} is not NVIDIA's (it has no apex.optimizers), but megatron-core would take it for "
        f"that; remove it with `pip uninstall apex`, and if you want NVIDIA's, build it from {APEX_SOURCE}",
    )


def transformer_engine() -> Extension:
    """Transformer Engine with its core and its torch libraries, all of one version."""
    name = "transformer-engine"
    folders = _folders("transformer_engine")
    if folders is None:
        return Extension(name)
    version = _version(name)
    where = folders[0] if folders else "sys.path"
    exact = "" if version == "unknown" else f"=={version}"
    mend = (
        f"complete it with `pip install --no-build-isolation 'transformer-engine[pytorch]{exact}'`, "
        "or remove it with `pip uninstall transformer-engine`"
    )
    missing = [part for part, prefix in _LIBRARIES.items() if not _library(folders, prefix)]
    if missing:
        return Extension(
            name,
            version,
            f"Transformer Engine in {where} lacks its {' and '.join(missing)} (`pip install transformer-engine` alone "
            f"brings none), and megatron-core cannot be imported beside it; {mend}",
        )
    others = {part: _version(part) for part in _PARTS} if version != "unknown" else {}
    unequal = [f"{part} {v}" for part, v in others.items() if v not in ("unknown", version)]
    if unequal:
        return Extension(
            name,
            version,
            f"{name} {version} and {', '.join(unequal)} do not work together: one version is needed; {mend}",
        )
    return Extension(name, version)


_LIBRARIES = {"core library": "libtransformer_engine", "torch library": "transformer_engine_torch"}
"""Shared objects by the beginning of their names."""

_PARTS = ("transformer-engine-torch", "transformer-engine-cu12", "transformer-engine-cu13")
"""What the extras of `transformer-engine` install."""


def _folders(package: str) -> list[Path] | None:
    """Where a top-level package lies (a plain folder counts: `import` accepts it); None where there is none."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    if spec.submodule_search_locations is None:  # one file
        return [Path(spec.origin).parent] if spec.origin else []
    return [Path(folder) for folder in spec.submodule_search_locations]


def _library(folders: list[Path], prefix: str) -> bool:
    """Whether a shared object is in one of the places where Transformer Engine itself looks for it."""
    places = {Path(sysconfig.get_paths()["purelib"])} | {folder.parent for folder in folders}
    places |= {p / "transformer_engine" for p in list(places)} | {p / "transformer_engine/wheel_lib" for p in places}
    return any(place.is_dir() and any(place.glob(f"{prefix}*.so")) for place in places)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
