"""Build the graph: read each source once, join, write.

Each source leaves its extract in `<out>/stages/<source>` with a completion marker, so a stopped build goes on where it
was; a folder that was built from the same content is left as it is. The same inputs give the same bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256
from fleming_nemo.rods import sources as wheels
from fleming_nemo.rods.kg import stages
from fleming_nemo.rods.kg.join import Manner, join
from fleming_nemo.rods.kg.records import Extract
from fleming_nemo.rods.kg.registry import Source, by_name
from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.store import write_graph
from fleming_nemo.rods.kg.table import FILES, MANIFEST, Node

REJECTS = "rejects.jsonl"


@dataclass(frozen=True, slots=True)
class Input:
    """One source to join. `content` names what is read, down to its hash; `read` is called when it is not known yet."""

    name: str
    content: dict[str, Any]
    read: Callable[[list[Node]], Extract]
    manner: Manner = Manner()
    needs_nodes: bool = False  # `read` gets the joined nodes of the inputs before it, else an empty list


def packaged(names: Iterable[str] | None = None, cache: Path | None = None) -> list[Input]:
    """Inputs for the pinned wheels (all, or those named), fetched where the cache does not hold them.

    Raises UserError for an unknown name and for a wheel that cannot be had.
    """
    known = by_name()
    wanted = set(known if names is None else names)
    if unknown := sorted(wanted - known.keys()):
        raise UserError(f"unknown source {unknown[0]}; known are {', '.join(known)}.")
    found = []
    for source in known.values():
        if source.name in wanted:
            path, pin = wheels.wheel(source.package, cache), wheels.pins()[source.package]
            content = {
                "package": f"{pin.name} {pin.version}",
                "sha256": pin.sha256,
                "licence": source.licence,
            }
            found.append(Input(source.name, content, _reader(source, path), source.manner))
    return found


def _reader(source: Source, wheel: Path) -> Callable[[list[Node]], Extract]:
    return lambda _: source.read(wheel)


def build(out: Path, inputs: list[Input]) -> dict[str, Any]:
    """Write the graph of these inputs to `out` and return its manifest."""
    if not inputs:
        raise UserError("no source to build a graph from; name at least one source, table or folder of texts.")
    wanted = {"layout": stages.LAYOUT, "inputs": {item.name: item.content for item in inputs}}
    if finished := _finished(out, wanted):
        return finished
    extracts: list[tuple[str, Extract, Manner]] = []
    with tqdm(total=len(inputs) + 2, desc="graph", disable=None) as bar:
        for item in inputs:
            bar.set_postfix_str(item.name)
            extract = stages.load(out / "stages" / item.name, item.content)
            if extract is None:
                extract = item.read(join(extracts, Rejects()).nodes if item.needs_nodes else [])
                if extract.complete:
                    stages.save(out / "stages" / item.name, extract, item.content)
            extracts.append((item.name, extract, item.manner))
            bar.update()
        bar.set_postfix_str("joining")
        rejects = Rejects(row for _, extract, _ in extracts for row in extract.rejects.rows)
        joined = join(extracts, rejects)
        bar.update()
        bar.set_postfix_str("writing")
        rejects.write(out / REJECTS)
        facts = {
            "sources": [
                {"name": name, "version": extract.version, **item.content}
                for item, (name, extract, _) in zip(inputs, extracts, strict=True)
            ],
            "joins": joined.joins,
            "contradictions": joined.contradictions,
            "rejects": {
                "rows": len(rejects),
                "sha256": sha256(out / REJECTS),
                "by_file": rejects.by_file(),
                "by_reason": rejects.by_reason(),
            },  # fmt: skip
            "built_from": wanted if all(extract.complete for _, extract, _ in extracts) else "to be completed",
        }
        manifest = write_graph(out, joined.nodes, joined.edges, facts, joined.texts)
        bar.update()
    return manifest


def _finished(out: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of an earlier build of the same content whose files are intact."""
    try:
        manifest = read_json(out / MANIFEST)
        hashes = {name: manifest["files"][name]["sha256"] for name in FILES.values()}
        hashes[REJECTS] = manifest["rejects"]["sha256"]
        same = manifest["built_from"] == wanted
        return manifest if same and all(sha256(out / name) == digest for name, digest in hashes.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
