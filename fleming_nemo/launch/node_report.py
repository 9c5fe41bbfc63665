"""What a check of the nodes before a run leaves behind: one file for each node, in the folder of the attempt's logs."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.data import files

FOLDER = "preflight"


def write(logs: Path, node: str, lines: list[str], problems: list[str]) -> None:
    """`lines`: what was looked at; `problems`: why no run should be started on this node."""
    files.write_json(logs / FOLDER / f"{node}.json", {"node": node, "lines": lines, "problems": problems})


def bad_nodes(logs: Path) -> dict[str, str]:
    """Nodes with a problem, and which."""
    found = [files.read_json(file) for file in sorted((logs / FOLDER).glob("*.json"))]
    return {report["node"]: ", ".join(report["problems"]) for report in found if report["problems"]}
