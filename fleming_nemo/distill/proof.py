"""The proof of a synthetic item as its provenance holds it, with the names that the item's reader sees.

The fields are those of rods/synth/compose.py. What is proven about a wrong option depends on how the question starts:

    findings   `missing` are findings that the option (or the disease behind it) has no record of, `shared` the others
    bands      `missing` are frequencies that the records of the option contradict
    named      no record leads from the start to the option
"""

from dataclasses import dataclass, field
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import LETTERS, QAItem


@dataclass(frozen=True, slots=True)
class Clue:
    """A finding as shown. `own` is the narrower finding on record behind a broader one shown, else None."""

    text: str
    present: bool
    band: str | None
    own: str | None
    low: float | None
    """Smallest share of the patients that some source records it for, 0..1."""
    names: tuple[str, ...]
    """Everything the finding is called in the item."""


@dataclass(frozen=True, slots=True)
class Step:
    """One relation of the path between two names; `subject` and `object` as in the graph, `end` the later of the two
    on the way from what is shown to what is asked."""

    relation: str
    subject: str
    object: str
    end: str


@dataclass(frozen=True, slots=True)
class Rival:
    """A wrong option. `compared` says that `shared` and `missing` come from a record of its own."""

    letter: str
    text: str
    compared: bool
    shared: tuple[Clue, ...] = ()
    missing: tuple[Clue, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    language: str
    family: str
    kind: str
    """How the question starts: findings, bands or named."""
    start: str
    """Name of the first node of the path: shown when named, else the diagnosis to be reached."""
    clues: tuple[Clue, ...]
    steps: tuple[Step, ...]
    letter: str
    answer: str
    rivals: tuple[Rival, ...]
    names: dict[str, tuple[str, ...]] = field(hash=False)
    """Node id -> everything it is called, for every node of the path and every option."""
    path: tuple[str, ...]
    hidden: tuple[str, ...]
    """Node ids of the path that the question does not name, without the answer."""

    @property
    def bridges(self) -> tuple[str, ...]:
        """Names of the nodes between what is shown and what is asked, in order."""
        nodes = self.path[1:-1] if self.kind == "named" else self.path[:-1]
        return tuple(self.names[node][0] for node in nodes)


def is_synthetic(item: QAItem) -> bool:
    """Whether the item was made by rods/synth, whose provenance this module reads."""
    return item.source == "kg" and "family" in item.provenance and "clues" in item.provenance


def proof_of(item: QAItem) -> Proof:
    """Raises UserError when the provenance lacks what a proof is made of."""
    if not is_synthetic(item):
        raise UserError(f"item {item.id} comes from {item.source} and holds no proof; use another teacher for it.")
    try:
        return _proof(item, item.provenance)
    except (KeyError, IndexError, TypeError, StopIteration) as error:
        raise UserError(f"item {item.id}: its provenance is incomplete ({error!r}); build the items again.") from error


def _proof(item: QAItem, p: dict[str, Any]) -> Proof:
    path = tuple(p["path"])
    worded = p.get("worded") or {}
    # Corpora built before the wording of an unmasked node was kept list its id only.
    shown = p["shown"] if isinstance(p["shown"], dict) else {}
    rows = [edge for edge in p["edges"] if edge["relation"] != "has_phenotype"]
    kind = "named" if not p["clues"] else "bands" if any(c["band"] for c in p["clues"]) else "findings"
    options = {row["node"]: row["option"] for row in p["distractors"]} | {
        p["answer_node"]: item.options[int(item.answer)]
    }

    def names(node: str) -> tuple[str, ...]:
        start = p["start_text"] if node == path[0] else None
        found = (options.get(node), start, shown.get(node), worded.get(node), p["nodes"].get(node))
        return tuple(dict.fromkeys(name for name in found if name))

    lows = [edge["low"] for edge in p["edges"] if edge["relation"] == "has_phenotype"]
    pairs = zip(p["clues"], lows, strict=True)
    clues = {row["term"]: _clue(row, low, worded, p["nodes"]) for row, low in pairs}
    known = {node: names(node) for node in (*path, *options)}
    steps = [
        Step(edge["relation"], known[edge["from"]][0], known[edge["to"]][0], known[node][0])
        for edge, node in zip(rows, path[1:], strict=True)
    ]
    letters = dict(zip(item.options, LETTERS, strict=False))
    rivals = [
        Rival(
            letters[row["option"]],
            row["option"],
            row["via"] is not None,
            tuple(clues[t] for t in row["shared"]),
            tuple(clues[t] for t in row["missing"]),
        )
        for row in p["distractors"]
    ]
    return Proof(
        language=item.language,
        family=p["family"],
        kind=kind,
        start=known[path[0]][0],
        clues=tuple(clues.values()),
        steps=tuple(steps),
        letter=item.letter,
        answer=item.options[int(item.answer)],
        rivals=tuple(sorted(rivals, key=lambda rival: rival.letter)),
        names=known,
        path=path,
        hidden=tuple(node for node in p["masked"] if node != p["answer_node"]),
    )


def _clue(row: dict[str, Any], low: float | None, worded: dict[str, str], nodes: dict[str, str]) -> Clue:
    own = (worded.get(row["own"]) or nodes[row["own"]]) if row["own"] != row["term"] else None
    names = (row["text"], own, worded.get(row["term"]), nodes.get(row["term"]), nodes.get(row["own"]))
    return Clue(row["text"], row["present"], row["band"], own, low, tuple(dict.fromkeys(n for n in names if n)))
