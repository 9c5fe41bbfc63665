"""Graphs as tables: a nodes file with an edges file, or one PrimeKG-style file that holds both ends in each row.

Columns of nodes: id, type, name; optional synonyms and identifiers (separated by |) and name_zh. Columns of edges:
subject, relation, object; optional source, evidence (separated by |), low, high, negated. PrimeKG (Chandak 2023):
x_index, x_id, x_type, x_name, x_source, relation, display_relation, y_index, y_id, y_type, y_name, y_source.
"""

from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg import columns
from fleming_nemo.rods.kg.primekg import PRIMEKG, read_primekg
from fleming_nemo.rods.kg.records import Extract
from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.schema import NODE_TYPES, RELATIONS
from fleming_nemo.rods.kg.table import Edge, Node

NODE_COLUMNS = ("id", "type", "name")
EDGE_COLUMNS = ("subject", "relation", "object")
_TRUTH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def read_tables(paths: list[Path]) -> Extract:
    """All files of one graph.

    Raises UserError when a file cannot be read or its columns are those of none of the three layouts.
    """
    extract = Extract(version="tables")
    for path in paths:
        names = columns.header(path)
        if set(PRIMEKG) <= set(names):
            read_primekg(path, extract)
        elif set(NODE_COLUMNS) <= set(names):
            _nodes(path, extract)
        elif set(EDGE_COLUMNS) <= set(names):
            _edges(path, extract)
        else:
            raise UserError(
                f"{path}: found the columns {', '.join(names) or 'none'}; expected {', '.join(NODE_COLUMNS)} (nodes), "
                f"{', '.join(EDGE_COLUMNS)} (edges) or those of PrimeKG."
            )
    return extract


def _nodes(path: Path, extract: Extract) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for number, row in columns.rows(path, extract.rejects):
        if field := _wrong_node(row):
            extract.rejects.add(path.name, number, *field, row)
            continue
        known = seen.setdefault(row["id"], (row["type"], row["name"]))
        if known != (row["type"], row["name"]):
            extract.rejects.add(path.name, number, "id", "the same id with another type or name above", row)
            continue
        synonyms, identifiers = (tuple(sorted(set(_split(row.get(key, ""))))) for key in ("synonyms", "identifiers"))
        zh = row.get("name_zh") or None
        extract.nodes.append(Node(row["id"], row["type"], row["name"], synonyms, identifiers, zh))


def _wrong_node(row: dict[str, str]) -> tuple[str, str] | None:
    if not is_curie(row["id"]):
        return "id", "expected prefix:number, such as MONDO:0018105"
    if row["type"] not in NODE_TYPES:
        return "type", f"expected one of {', '.join(NODE_TYPES)}"
    return ("name", "empty") if not row["name"] else None


def _edges(path: Path, extract: Extract) -> None:
    for number, row in columns.rows(path, extract.rejects):
        edge = _edge(row, path, number, extract.rejects)
        if edge:
            extract.edges.append(edge)


def _edge(row: dict[str, str], path: Path, number: int, rejects: Rejects) -> Edge | None:
    for end in ("subject", "object"):
        if not is_curie(row[end]):
            rejects.add(path.name, number, end, "expected prefix:number, such as MONDO:0018105", row)
            return None
    if row["relation"] not in RELATIONS:
        rejects.add(path.name, number, "relation", f"expected one of {', '.join(RELATIONS)}", row)
        return None
    if row.get("negated", "").casefold() not in _TRUTH:
        rejects.add(path.name, number, "negated", "expected true or false", row)
        return None
    bounds = {}
    for key in ("low", "high"):
        try:
            bounds[key] = float(row[key]) if row.get(key) else None
        except ValueError:
            bounds[key] = -1.0
        if bounds[key] is not None and not 0 <= (bounds[key] or 0) <= 1:
            rejects.add(path.name, number, key, "expected a share from 0 to 1", row)
            return None
    if bounds["low"] is not None and bounds["high"] is not None and bounds["low"] > bounds["high"]:
        rejects.add(path.name, number, "low", "above high", row)
        return None
    evidence = tuple(sorted(set(_split(row.get("evidence", ""))))) or (f"{path.name}:{number}",)
    negated = _TRUTH[row.get("negated", "").casefold()]
    source = row.get("source") or path.stem
    return Edge(
        row["subject"], row["relation"], row["object"], source, evidence, bounds["low"], bounds["high"], negated
    )


def is_curie(text: str) -> bool:
    prefix, colon, local = text.partition(":")
    return bool(prefix and colon and local) and not any(letter.isspace() for letter in text)


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split("|") if part.strip()]
