"""A check of every node of an allocation before the ranks are started, one process a node.

    srun --ntasks-per-node=1 ... python -m fleming_nemo.launch.preflight_nodes RECIPE [the recipe's arguments]

Every node's report goes to `preflight/NODE.json` in the folder of the attempt's logs (FLEMING_LOGS).  Exit code: 0 all
is well; 2 something that the user can repair, and no node's fault; 76 a node is bad: `attempt end` then names it, and
the job is queued again without it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.data import files
from fleming_nemo.launch import attempts, markers, node_report, scheduler, slurm_env
from fleming_nemo.launch.attempt import LOGS
from fleming_nemo.launch.health import gpus, software, storage
from fleming_nemo.launch.main import config_of
from fleming_nemo.launch.resolve import load_recipe
from fleming_nemo.launch.worker import exit_now, quiet_on_cpu

BAD_NODE = os.EX_PROTOCOL
"""Exit code 76."""
CANARY = "canary"
CANARY_S = 30.0


def check(cfg: RunConfig, logs: Path, environ: Mapping[str, str], asked: int) -> list[str]:
    """Look at this node, meet the others, and return the names of the bad ones; every rank calls it.

    Args:
        asked: GPUs that the run needs on each node.

    Raises:
        UserError: the run directory is not shared between the nodes.
    """
    import torch

    from fleming_nemo.launch.health.network import FLOOR_GB_S, MEET_S, Meeting, slow_nodes

    node = attempts.host(environ)
    found = [*gpus.findings(asked), *storage.findings(cfg, Path(cfg.run_dir))]
    meeting = Meeting(environ, node)
    if absent := meeting.absent():
        names = scheduler.hosts(environ.get("SLURM_STEP_NODELIST", ""))
        missed = [names[rank] if rank < len(names) else f"rank_{rank}" for rank in absent]
        for name in missed if meeting.rank == 0 else ():
            told = f"it did not come to the meeting on {environ['MASTER_ADDR']} within {MEET_S:.0f} s"
            node_report.write(logs, name, [], [told])
        return missed
    problems = {node: [row.told for row in found if row.wrong]}
    for name, words in _shared(meeting, node, logs).items():
        problems.setdefault(name, []).append(words)
    nodes = meeting.gather("names", node)
    first, *others = meeting.gather("versions", software.versions(cfg))
    for other, versions in zip(nodes[1:], others, strict=True) if meeting.rank == 0 else ():
        differing = [name for name, version in versions.items() if version != first[name]]
        differ = [f"{name} is {versions[name]}, and {first[name]} on {node}" for name in differing]
        problems.setdefault(other, []).extend(differ)
    reports = meeting.gather("reports", {"lines": [row.line() for row in found], "problems": problems})
    merged = {name: [p for r in reports for p in r["problems"].get(name, [])] for name in nodes}
    speeds: list[float] = []
    if not any(merged.values()):
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        speeds = meeting.speeds(backend)
        for rank in slow_nodes(speeds, FLOOR_GB_S[backend]):
            merged[nodes[rank]].append(f"{speeds[0]:.3f} GB/s in an all-reduce, under {FLOOR_GB_S[backend]} GB/s")
    if meeting.rank == 0:
        for name, report in zip(nodes, reports, strict=True):
            lines = [*report["lines"], *(f"all-reduce {speed:.3f} GB/s" for speed in speeds[:1])]
            node_report.write(logs, name, lines, merged[name])
    meeting.leave()
    return sorted(name for name, told in merged.items() if told)


def _shared(meeting: Any, node: str, logs: Path) -> dict[str, str]:
    """Nodes that do not see what rank 0 writes into the run directory.

    Raises:
        UserError: none of the others sees it.
    """
    token = secrets.token_hex(8)
    if meeting.rank == 0:
        files.write_text(logs / node_report.FOLDER / CANARY, token)
    written = meeting.gather("canary", token)[0]
    seen = meeting.gather("seen", _sees(logs / node_report.FOLDER / CANARY, written))
    nodes = meeting.gather("where", node)
    blind = [name for name, sees in zip(nodes, seen, strict=True) if not sees]
    if blind and len(blind) == meeting.size - 1:
        raise UserError(
            f"the run directory is not shared: {', '.join(blind)} cannot see what {nodes[0]} writes "
            f"to {logs}; choose one on a file system that all nodes have, with run_dir=..."
        )
    return dict.fromkeys(blind, f"cannot see what {nodes[0]} writes to {logs}: a file system is not mounted")


def _sees(file: Path, token: str) -> bool:
    """Whether the file comes to hold the token; a shared file system may take some seconds to tell."""
    deadline = time.monotonic() + CANARY_S
    while time.monotonic() < deadline:
        if file.exists() and file.read_text(encoding="utf-8") == token:
            return True
        time.sleep(0.2)
    return False


def _needed_gpus(cfg: RunConfig, environ: Mapping[str, str]) -> int:
    """GPUs of this node that the run needs: all of the allocation's, but none for a model of CPU size."""
    if cfg.model.arch in CPU_SIZED and not gpus.driver():
        return 0
    return int(environ.get("SLURM_GPUS_ON_NODE") or 1)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fleming_nemo.launch.preflight_nodes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("recipe", help="path of a recipe file, or a resolved config (.yaml)")
    args, rest = parser.parse_known_args(argv)
    with reported("--debug" in rest):
        if "RANK" not in os.environ:
            os.environ |= slurm_env.from_slurm(os.environ)
        resolved = args.recipe.endswith(".yaml")
        cfg = from_yaml(args.recipe, RunConfig) if resolved else config_of(load_recipe(args.recipe), rest)
        if isinstance(cfg, DemoConfig):
            raise UserError("the demo runs on one machine; see `fleming doctor recipes/demo.py`")
        logs = Path(os.environ.get(LOGS) or Path(cfg.run_dir) / "logs")
        quiet_on_cpu()
        try:
            bad = check(cfg, logs, os.environ, _needed_gpus(cfg, os.environ))
        except UserError as error:
            markers.write_failure(Path(cfg.run_dir), int(os.environ["RANK"]), error, exit_code=2)
            raise
        except RuntimeError as error:  # torch.distributed's, when a node leaves in the middle
            print(f"{attempts.host(os.environ)}: the check was broken off: {error}", file=sys.stderr)
            exit_now(BAD_NODE)
    if os.environ["RANK"] == "0":
        told = node_report.bad_nodes(logs)
        print("\n".join(f"{name}: {told.get(name, '')}" for name in bad) or "all nodes are well")
    exit_now(BAD_NODE if bad else 0)


if __name__ == "__main__":
    main()
