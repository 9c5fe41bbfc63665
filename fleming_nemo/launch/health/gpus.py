"""GPUs of this machine, by nvidia-smi and, where it may be read, the kernel's log."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from fleming_nemo.launch.health.finding import Finding

_FIELDS = ("index", "name", "memory.total", "memory.used", "ecc.errors.uncorrected.volatile.total")
_ROWS = ("remapped_rows.pending", "remapped_rows.failure")
FATAL_XIDS = {48, 62, 64, 79, 95, 119, 120, 140}
"""Errors after which a GPU is of no use until it is reset: uncontained or unrecordable memory errors (48, 64, 95, 140),
a halted microcontroller (62, 119, 120), fallen off the bus (79).  NVIDIA, XID Errors."""
IN_USE_MB = 2048.0
"""More than contexts of monitors take: another process is at work on the GPU."""
LIMIT_S = 60.0


@dataclass(frozen=True)
class GPU:
    """One GPU; memory in MB, None where the driver does not say."""

    index: int
    name: str
    memory: float | None
    used: float | None
    uncorrected: float | None


def findings(asked: int) -> list[Finding]:
    """Number, memory and health of the GPUs; `asked`: as many are needed on this machine, 0 for a run on the CPU."""
    if not driver():
        told = "no nvidia-smi on PATH: no NVIDIA driver, or a container without it"
        return [Finding("GPUs", f"{told}, and {asked} are asked for" if asked else told, wrong=asked > 0, missing=True)]
    said, fault = _query(f"--query-gpu={','.join(_FIELDS)}")
    if fault:
        return [Finding("GPUs", f"nvidia-smi fails: {fault}; reset the GPU or restart the machine", wrong=True)]
    found = [_gpu(row) for row in said]
    told = f"{len(found)} GPUs" + (f", {found[0].name}, {(found[0].memory or 0) / 1024:.0f} GiB" if found else "")
    rows = [Finding("GPUs", told)]
    if len(found) < asked:
        rows = [Finding("GPUs", f"{told}, and {asked} are asked for; some are lost, or hidden from this job", True)]
    smallest, largest = (f((gpu.memory or 0 for gpu in found), default=0) for f in (min, max))
    if smallest < 0.9 * largest:
        rows.append(Finding("GPU memory", f"differs: {smallest:.0f} to {largest:.0f} MB", wrong=True))
    for gpu in found:
        if gpu.uncorrected:
            told = f"GPU {gpu.index} has {gpu.uncorrected:.0f} uncorrected errors since its reset; reset it"
            rows.append(Finding("GPU memory errors", told, wrong=True))
        if asked and (gpu.used or 0) > IN_USE_MB:
            told = f"GPU {gpu.index} has {gpu.used:.0f} MB in use by another process; end it"
            rows.append(Finding("GPU memory", told, wrong=True))
    return [*rows, *_remapped(), *_kernel_log()]


def driver() -> bool:
    """Whether there is an NVIDIA driver to ask."""
    return shutil.which("nvidia-smi") is not None


def _remapped() -> list[Finding]:
    """Rows of GPU memory that could not be replaced, or will be by the next reset (Ampere and later)."""
    said, fault = _query(f"--query-remapped-rows={','.join(_ROWS)}")
    wrong = []
    for index, (pending, failure) in enumerate([] if fault else said):
        if failure not in ("0", "No") and not failure.startswith("["):
            told = f"GPU {index} has no spare rows left; it has to be replaced"
            wrong.append(Finding("GPU memory rows", told, wrong=True))
        elif pending not in ("0", "No") and not pending.startswith("["):
            told = f"GPU {index} waits for a reset to replace a faulty row; reset it"
            wrong.append(Finding("GPU memory rows", told, wrong=True))
    return wrong


def _kernel_log() -> list[Finding]:
    """Fatal errors (Xid) that the driver logged since the machine started; nothing where the log cannot be read."""
    if not shutil.which("dmesg"):
        return []
    done = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace", timeout=LIMIT_S)
    found = re.findall(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)[^)]*\): (\d+)", done.stdout if done.returncode == 0 else "")
    fatal = sorted({(place, int(number)) for place, number in found if int(number) in FATAL_XIDS})
    return [
        Finding("GPU errors", f"the driver logged Xid {number} on the GPU at {place}; reset it", wrong=True)
        for place, number in fatal
    ]


def _query(question: str) -> tuple[list[list[str]], str]:
    """Rows of an answer, and what went wrong instead."""
    command = ["nvidia-smi", question, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return [], f"no answer within {LIMIT_S:.0f} s"
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        return [], said[-1] if said else f"exit code {done.returncode}"
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()], ""


def _gpu(row: list[str]) -> GPU:
    index, name, *numbers = row
    return GPU(int(index), name, *map(_number, numbers))


def _number(text: str) -> float | None:
    """None for `[N/A]` and the like."""
    try:
        return float(text)
    except ValueError:
        return None
