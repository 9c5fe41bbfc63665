"""Extracts on disk, so that a build that was stopped does not read a finished source again.

A folder per source; `done.json` comes last and names the content that was read and the layout of this code.
"""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleming_nemo.data.files import read_json, sha256, write_json
from fleming_nemo.rods.kg.records import Extract
from fleming_nemo.rods.kg.rejects import Reject, Rejects
from fleming_nemo.rods.kg.schema import EDGES, NODES, TEXTS
from fleming_nemo.rods.kg.store import table_of, write_parquet
from fleming_nemo.rods.kg.table import Edge, Node, Text

# Raise when a reader changes what it takes out of a source.
LAYOUT = 1
_REJECTS = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("file", "row", "field", "reason", "raw")]
)
_FILES = {"nodes": NODES, "edges": EDGES, "texts": TEXTS, "rejects": _REJECTS}
_MARKER = "done.json"


def save(folder: Path, extract: Extract, content: dict[str, Any]) -> None:
    """`content` says what was read: hashes of the input."""
    if folder.exists():
        shutil.rmtree(folder)
    rejects = [Reject(**{**asdict(row), "row": str(row.row)}) for row in extract.rejects.rows]
    rows: dict[str, list[Any]] = {
        "nodes": extract.nodes,
        "edges": extract.edges,
        "texts": extract.texts,
        "rejects": rejects,
    }
    digests = {}
    for name, schema in _FILES.items():
        write_parquet(folder / f"{name}.parquet", table_of(rows[name], schema))
        digests[name] = sha256(folder / f"{name}.parquet")
    write_json(folder / _MARKER, {"layout": LAYOUT, "content": content, "version": extract.version, "sha256": digests})


def load(folder: Path, content: dict[str, Any]) -> Extract | None:
    """The extract of this very content, or None when it has to be read (again)."""
    try:
        marker = read_json(folder / _MARKER)
    except (OSError, ValueError):
        return None
    if not isinstance(marker, dict) or marker.get("layout") != LAYOUT or marker.get("content") != content:
        return None
    paths = {name: folder / f"{name}.parquet" for name in _FILES}
    if any(not p.is_file() or sha256(p) != marker["sha256"].get(name) for name, p in paths.items()):
        return None
    found = {name: pq.read_table(path).to_pylist() for name, path in paths.items()}
    for row in found["nodes"]:
        row["synonyms"], row["identifiers"] = tuple(row["synonyms"]), tuple(row["identifiers"])
    for row in found["edges"]:
        row["evidence"] = tuple(row["evidence"])
    rejects = Rejects()
    for row in found["rejects"]:
        rejects.add(**row)
    return Extract(
        marker["version"],
        [Node(**row) for row in found["nodes"]],
        [Edge(**row) for row in found["edges"]],
        [Text(**row) for row in found["texts"]],
        rejects,
    )
