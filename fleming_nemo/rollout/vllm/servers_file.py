"""servers.json: the servers of other nodes, as the trainer finds them.

    FOLDER/settings.json      what all servers are started with; the trainer writes it (`ServerSettings.save`)
    FOLDER/key                the key of the run, readable by its owner alone
    FOLDER/servers.json       {"key_file": "key", "nodes": ["node_a.json", ...]}: there once every node has written
    FOLDER/node_NAME.json     {"servers": [{"url", "world", "start"}]}: written anew when one was restarted

Servers of any other origin fit in as well: {"key_file": ..., "servers": [{"url": ..., "world": ...}]}.  Relative
paths are relative to the file.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.rollout.vllm.address import Address
from fleming_nemo.rollout.vllm.server import Server

_THIS_START = secrets.token_hex(8)
SETTINGS, KEY, SERVERS = "settings.json", "key", "servers.json"


@dataclass(frozen=True)
class Entry:
    """One server as a file tells it; `start` is another for each time that it was started."""

    address: Address
    start: str


@dataclass(frozen=True)
class Listing:
    """All servers of a run, in the same order at every reading."""

    key_file: Path
    entries: tuple[Entry, ...]


def node_file(folder: Path, node: str) -> Path:
    return folder / f"node_{node}.json"


def write_node(folder: Path, node: str, servers: Sequence[Server]) -> None:
    """What one node has now; replaces what it wrote before."""
    rows = [
        {"url": s.address.url, "world": s.address.world, "start": f"{_THIS_START}-{s.incarnation}"} for s in servers
    ]
    files.write_json(node_file(folder, node), {"servers": rows})


def complete(folder: Path, num_nodes: int) -> bool:
    """Write servers.json if all nodes have written theirs; any of them may, as it says the same."""
    nodes = sorted(path.name for path in folder.glob("node_*.json"))
    if len(nodes) > num_nodes:
        raise UserError(f"{folder}: {len(nodes)} nodes have written there, {num_nodes} were told; empty the folder.")
    if len(nodes) < num_nodes:
        return False
    files.write_json(folder / SERVERS, {"key_file": KEY, "nodes": nodes})
    return True


def read(path: Path) -> Listing:
    """Raises UserError where the file is not what this module's head says."""
    try:
        top = files.read_json(path)
        rows: list[Any] = list(top.get("servers", []))
        for node in top.get("nodes", []):
            rows += files.read_json(path.parent / node)["servers"]
        entries = tuple(Entry(Address(row["url"], row.get("world", 1)), str(row.get("start", ""))) for row in rows)
        key_file = path.parent / top["key_file"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: no list of servers ({type(error).__name__}: {error}); start them anew.") from error
    if not entries:
        raise UserError(f"{path} lists no server; start them anew.")
    return Listing(key_file, entries)
