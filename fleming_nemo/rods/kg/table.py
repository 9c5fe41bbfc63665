"""The graph in memory: nodes and edges by number, neighbours by relation in compressed rows.

    kg = KnowledgeGraph.load(Path("data/kg"))
    wolfram = kg.index["MONDO:0018105"]
    for edge in kg.outgoing("has_phenotype").edges(wolfram):
        print(kg.names[kg.object[edge]], kg.low[edge], kg.high[edge])

Nodes are numbered in the order of their ids and edges in the order of (subject, relation, object, source, negated),
so the same files give the same numbers everywhere.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256
from fleming_nemo.rods.kg.adjacency import Adjacency
from fleming_nemo.rods.kg.schema import EDGES, NODES, TEXTS

FILES = {"nodes": "nodes.parquet", "edges": "edges.parquet", "texts": "texts.parquet"}
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    type: str
    name: str
    synonyms: tuple[str, ...]
    identifiers: tuple[str, ...]
    name_zh: str | None


@dataclass(frozen=True, slots=True)
class Edge:
    """One statement of one source. `low` and `high` bound the share of patients; None where the source is silent."""

    subject: str
    relation: str
    object: str
    source: str
    evidence: tuple[str, ...]
    low: float | None
    high: float | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Prose about a node, or about a rule that edges name in their evidence."""

    id: str
    kind: str
    source: str
    text: str


class KnowledgeGraph:
    """`ids`, `names`, `types` by node number; `subject`, `relation`, `object`, `low`, `high`, `negated` by edge number.

    `relation` and `source` hold codes into `relations` and `sources`; unknown frequency bounds are NaN.
    """

    def __init__(
        self, nodes: pa.Table, edges: pa.Table, texts: pa.Table, manifest: dict[str, Any] | None = None
    ) -> None:
        self._nodes, self._edges, self._texts = nodes.combine_chunks(), edges.combine_chunks(), texts
        self.manifest = manifest or {}
        self.ids: list[str] = nodes["id"].to_pylist()
        self.names: list[str] = nodes["name"].to_pylist()
        self.types: list[str] = nodes["type"].to_pylist()
        self.index: dict[str, int] = {identifier: number for number, identifier in enumerate(self.ids)}
        self.subject = self._numbers("subject")
        self.object = self._numbers("object")
        self.relations, self.relation = _codes(self._edges["relation"])
        self.sources, self.source = _codes(self._edges["source"])
        self.low = self._edges["low"].to_numpy().astype(np.float32)
        self.high = self._edges["high"].to_numpy().astype(np.float32)
        self.negated = self._edges["negated"].to_numpy()
        self._adjacency: dict[tuple[str, bool, bool], Adjacency] = {}

    @classmethod
    def load(cls, folder: Path) -> "KnowledgeGraph":
        """Read a folder that data_prep/build_kg.py wrote.

        Raises UserError when a file is missing, damaged or of another layout.
        """
        try:
            manifest = read_json(folder / MANIFEST)
            expected = {name: manifest["files"][name]["sha256"] for name in FILES.values()}
            for name, digest in expected.items():
                if sha256(folder / name) != digest:
                    raise UserError(f"{folder / name} does not match {MANIFEST}; build the graph again.")
            tables = {key: pq.read_table(folder / name) for key, name in FILES.items()}
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(f"{folder} holds no whole graph ({error}); run data_prep/build_kg.py.") from error
        for key, schema in (("nodes", NODES), ("edges", EDGES), ("texts", TEXTS)):
            if not tables[key].schema.equals(schema):
                raise UserError(f"{folder / FILES[key]}: its columns are not those of this version; build it again.")
        return cls(tables["nodes"], tables["edges"], tables["texts"], manifest)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_edges(self) -> int:
        return len(self.subject)

    def node(self, number: int) -> Node:
        row = self._nodes.slice(number, 1).to_pylist()[0]
        return Node(**{**row, "synonyms": tuple(row["synonyms"]), "identifiers": tuple(row["identifiers"])})

    def edge(self, number: int) -> Edge:
        row = self._edges.slice(int(number), 1).to_pylist()[0]
        return Edge(**{**row, "evidence": tuple(row["evidence"])})

    def of_type(self, node_type: str) -> np.ndarray:
        """Numbers of the nodes of one type, ascending."""
        return np.flatnonzero(pc.equal(self._nodes["type"], node_type).to_numpy())

    def outgoing(self, relation: str, negated: bool = False) -> Adjacency:
        """Subject -> objects. Edges that say "not" are left out; with `negated` only those are in."""
        return self._rows(relation, True, negated)

    def incoming(self, relation: str, negated: bool = False) -> Adjacency:
        """Object -> subjects."""
        return self._rows(relation, False, negated)

    @cached_property
    def contradicted(self) -> np.ndarray:
        """Edges that some source states and some source (or the same one) denies; neither is fit for a proof."""
        key = (self.subject.astype(np.int64) * len(self.relations) + self.relation) * len(self) + self.object
        return np.isin(key, np.intersect1d(key[self.negated], key[~self.negated]))

    @cached_property
    def synonyms(self) -> list[list[str]]:
        return self._nodes["synonyms"].to_pylist()

    @cached_property
    def identifiers(self) -> list[list[str]]:
        return self._nodes["identifiers"].to_pylist()

    @cached_property
    def names_zh(self) -> list[str | None]:
        return self._nodes["name_zh"].to_pylist()

    @cached_property
    def texts(self) -> dict[str, list[Text]]:
        """Definitions, descriptions, rules and recommendations by the id of the node or rule."""
        found: dict[str, list[Text]] = {}
        for row in self._texts.to_pylist():
            found.setdefault(row["id"], []).append(Text(**row))
        return found

    def evidence(self, edge: int) -> tuple[str, ...]:
        return tuple(self._edges["evidence"][int(edge)].as_py())

    def _rows(self, relation: str, forward: bool, negated: bool) -> Adjacency:
        key = (relation, forward, negated)
        if key not in self._adjacency:
            code = self.relations.index(relation) if relation in self.relations else -1
            edges = np.flatnonzero((self.relation == code) & (self.negated == negated)).astype(np.int32)
            rows, columns = (self.subject, self.object) if forward else (self.object, self.subject)
            self._adjacency[key] = Adjacency(rows[edges], columns[edges], edges, len(self))
        return self._adjacency[key]

    def _numbers(self, column: str) -> np.ndarray:
        found = pc.index_in(self._edges[column], value_set=self._nodes["id"].combine_chunks())
        if found.null_count:
            raise UserError(
                f"edges.parquet, field {column}: names a node that nodes.parquet does not hold; rebuild it."
            )
        return found.to_numpy().astype(np.int32)


def _codes(column: pa.ChunkedArray) -> tuple[tuple[str, ...], np.ndarray]:
    """(sorted distinct values, code of each row)."""
    values = sorted(pc.unique(column).to_pylist())
    codes = pc.index_in(column, value_set=pa.array(values, pa.string())).to_numpy()
    return tuple(values), codes.astype(np.int16)
