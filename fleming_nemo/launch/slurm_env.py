"""Rank, world size and meeting point of a task that srun started, in the words torch.distributed reads."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from fleming_nemo.config.errors import UserError


def is_step_of_many(environ: Mapping[str, str]) -> bool:
    """Whether srun started this process beside others.

    The batch script itself sees SLURM_PROCID=0 and SLURM_NTASKS too, but only what srun starts has a step id.
    """
    in_step = "SLURM_STEP_ID" in environ or "SLURM_STEPID" in environ
    return in_step and "SLURM_PROCID" in environ and _number(environ, "SLURM_NTASKS", 1) > 1


def from_slurm(environ: Mapping[str, str]) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT from SLURM_*.

    MASTER_* that are set already stay; else the first host of the step, and a port made from the job id that lies below
    the ephemeral range (32768 and up), so that no outgoing connection holds it.
    """
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE", "1")
    return {
        "RANK": environ["SLURM_PROCID"],
        "WORLD_SIZE": environ["SLURM_NTASKS"],
        "LOCAL_RANK": environ.get("SLURM_LOCALID", "0"),
        "LOCAL_WORLD_SIZE": str(tasks_per_node(tasks)[_number(environ, "SLURM_NODEID", 0)]),
        "MASTER_ADDR": environ.get("MASTER_ADDR") or first_host(nodes),
        "MASTER_PORT": environ.get("MASTER_PORT") or str(20000 + _number(environ, "SLURM_JOB_ID", 0) % 10000),
    }


def tasks_per_node(text: str) -> list[int]:
    """`2(x3),1` -> [2, 2, 2, 1]."""
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            raise UserError(f"SLURM_TASKS_PER_NODE is {text!r}, which is not Slurm's form `2(x3),1`; start with srun")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def first_host(nodes: str) -> str:
    """First host of a Slurm node list; scontrol knows how to expand it."""
    done = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, timeout=30)
    hosts = done.stdout.split()
    if done.returncode or not hosts:
        raise UserError(f"scontrol cannot expand the node list {nodes!r}: {done.stderr.strip()}; set MASTER_ADDR")
    return hosts[0]


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    return int(environ.get(name) or default)
