"""What is installed here: versions that all nodes must share, and the parts that only some runs need."""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path

import fleming_nemo
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch.health.finding import Finding
from fleming_nemo.parallel import extensions
from fleming_nemo.rollout.vllm import environment

PACKAGES = ("torch", "megatron-core", "numpy", "tokenizers")
SLURM = ("sbatch", "srun", "squeue", "scontrol")


def versions(cfg: RunConfig) -> dict[str, str]:
    """What must be the same on all nodes; the package by its files, for nodes may see different checkouts."""
    found = {name: metadata.version(name) for name in PACKAGES} | extensions.installed()
    return found | {"fleming-nemo's files": _sum_of_sources(), "the config": _short(to_yaml(cfg).encode())}


def findings(cfg: RunConfig | None) -> list[Finding]:
    """Optional parts, and whether `cfg` needs one that is not there."""
    fp8 = cfg is not None and cfg.model.precision == "fp8"
    rows = [Finding(name, version) for name in PACKAGES if (version := _version(name))]
    for extension in (extensions.transformer_engine(), extensions.apex()):
        needed = fp8 and extension.name == "transformer-engine"
        if extension.fault:
            rows.append(Finding(extension.name, extension.fault, wrong=True))
        elif extension.usable:
            rows.append(Finding(extension.name, str(extension.version)))
        else:
            rows.append(_absent(extension.name, needed))
    compiler = shutil.which("g++")
    told = compiler or "vLLM on a CPU compiles as it runs; install it (apt-get install g++)"
    return [*rows, _vllm(cfg), Finding("g++", told, missing=compiler is None), _slurm()]


def _absent(name: str, needed: bool) -> Finding:
    if name == "transformer-engine":
        told = "for fp8 and fused layers on GPUs: pip install --no-build-isolation 'transformer-engine[pytorch]'"
    else:
        told = f"for fused optimizers on GPUs; built from {extensions.APEX_SOURCE}; without it others are used"
    return Finding(name, told, wrong=needed, missing=True)


def _vllm(cfg: RunConfig | None) -> Finding:
    engine = cfg.rollout.engine if cfg is not None else "trainer"
    try:
        found = environment.find()
    except UserError as error:
        return Finding("vLLM", str(error), wrong=engine.startswith("vllm"), missing=True)
    return Finding("vLLM", f"{found.version} at {found.path}" + ", the build for CPUs" * found.on_cpu)


def _slurm() -> Finding:
    absent = [name for name in SLURM if not shutil.which(name)]
    if absent:
        told = f"{', '.join(absent)} not on PATH: submit from a login node, or run here with `fleming run`"
        return Finding("Slurm", told, missing=True)
    return Finding("Slurm", f"{', '.join(SLURM)} are there")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _sum_of_sources() -> str:
    root = Path(fleming_nemo.__file__).parent
    return _short(b"".join(file.read_bytes() for file in sorted(root.rglob("*.py"))))


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
