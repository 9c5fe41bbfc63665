"""Write the graph: sorted Parquet files, and a manifest that comes last."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleming_nemo.data.files import sha256, sync, write_json
from fleming_nemo.rods.kg.schema import EDGES, NODES, TEXTS
from fleming_nemo.rods.kg.table import FILES, MANIFEST, Edge, KnowledgeGraph, Node, Text


def tables(nodes: Iterable[Node], edges: Iterable[Edge], texts: Iterable[Text] = ()) -> dict[str, pa.Table]:
    """Arrow tables in the order of the files: nodes by id, edges by subject, relation, object, source, negated."""
    return {
        "nodes": table_of(sorted(nodes, key=lambda node: node.id), NODES),
        "edges": table_of(sorted(edges, key=lambda e: (e.subject, e.relation, e.object, e.source, e.negated)), EDGES),
        "texts": table_of(sorted(texts, key=lambda t: (t.id, t.kind, t.source, t.text)), TEXTS),
    }


def in_memory(nodes: Iterable[Node], edges: Iterable[Edge], manifest: dict[str, Any] | None = None) -> KnowledgeGraph:
    """The same graph without the files."""
    return KnowledgeGraph(**tables(nodes, edges), manifest=manifest)


def write_graph(
    folder: Path, nodes: Iterable[Node], edges: Iterable[Edge], facts: dict[str, Any], texts: Iterable[Text] = ()
) -> dict[str, Any]:
    """Write the Parquet files and manifest.json; `facts` (sources, joins, counts of rejects) go into the latter.

    The old manifest goes first and the new one comes last: a killed build leaves no folder that looks whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    found = tables(nodes, edges, texts)
    files = {}
    for key, table in found.items():
        write_parquet(folder / FILES[key], table)
        files[FILES[key]] = {"rows": table.num_rows, "sha256": sha256(folder / FILES[key])}
    manifest = {
        "files": files,
        "nodes_by_type": counts(found["nodes"]["type"].to_pylist()),
        "edges_by_relation": counts(found["edges"]["relation"].to_pylist()),
        "edges_by_source": counts(found["edges"]["source"].to_pylist()),
        "negated_edges": sum(found["edges"]["negated"].to_pylist()),
        **facts,
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_parquet(path: Path, table: pa.Table) -> None:
    """Whole or not there; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd", row_group_size=1 << 20, store_schema=True)
    sync(temporary)
    os.replace(temporary, path)


def counts(values: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def table_of(rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Records whose attributes are the columns of the schema."""
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
