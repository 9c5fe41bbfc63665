"""The label check of a synthesised corpus: five trials by a model behind an endpoint, else by the graph solver.

Both see the question and its options only. What they say goes through the same rule as for curated data
(`rods.curated.label_check`): an item that is wrong in all trials is set aside for a person to look at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import read_json, write_json
from fleming_nemo.data.items import LETTERS, QAItem
from fleming_nemo.endpoint import EndpointForm
from fleming_nemo.rods.corpus.slim import Part, part_rows
from fleming_nemo.rods.curated.label_check import TRIALS
from fleming_nemo.rods.curated.votes import Votes, ask_votes
from fleming_nemo.rods.solver.solve import NAME, solver_of
from fleming_nemo.rods.stages import Shard, run_shards

WHAT_THE_SOLVER_CHECKS = (
    "The graph solver reads question and options only, finds the names in them in the graph and walks from there; a "
    "trial does not know a tenth of the graph's statements. It checks the wording against the label, not the medicine: "
    "it reads the graph that the questions were made from."
)


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """`items`: how many to check, those with the smallest hash of their identifiers; None for all."""

    endpoint: EndpointForm | None = None
    items: int | None = None
    trials: int = TRIALS
    decisions: Path | None = None
    """A reviewer's decisions: rows {id, decision: keep or drop}."""

    @property
    def by(self) -> str:
        return self.endpoint.model if self.endpoint else NAME


def gather_votes(
    check: LabelCheck, items: Sequence[QAItem], parts: Sequence[Part], graph: Path, seed: int, work: Path, workers: int
) -> dict[str, Votes]:
    """Votes by item id; items outside the sample have none. Resumable by part or, with an endpoint, by answer."""
    if check.endpoint is not None:
        chosen = [item for item in items if _below(item.id, check.items, len(items))]
        return ask_votes(chosen, check.endpoint, check.trials, work / "label_check")[0]
    digest = read_json(graph / "manifest.json")["files"]
    share = [check.items, len(items)]
    shards = []
    for number, part in enumerate(parts):
        arguments = (part, graph, check.trials, seed, check.items, len(items))
        depends_on = [part.sha256, digest, check.trials, seed, share]
        shards.append(Shard(work / "solved" / f"{number:04d}", solve_part, arguments, depends_on))
    run_shards(shards, workers, "label check")
    votes: dict[str, Votes] = {}
    for shard in shards:
        for identity, correct, said in read_json(shard.folder / "votes.json"):
            votes[identity] = Votes(len(said), correct, tuple(said))
    return votes


def solve_part(
    folder: Path, part: Part, graph: Path, trials: int, seed: int, sample: int | None, total: int
) -> dict[str, Any]:
    """Answers of the graph solver to the items of one part."""
    solver = solver_of(graph, trials, seed)
    votes = []
    for row in part_rows(part):
        if _below(row["id"], sample, total):
            said = solver.answers(row["question"], row["options"])
            votes.append([row["id"], said.count(LETTERS[row["answer"]]), list(said)])
    write_json(folder / "votes.json", votes)
    return {"checked": len(votes)}


def _below(identity: str, sample: int | None, total: int) -> bool:
    """Whether the item belongs to a sample of about `sample` out of `total`."""
    if sample is None or sample >= total:
        return True
    draw = int.from_bytes(hashlib.sha256(f"label check/{identity}".encode()).digest()[:8])
    return draw < sample / total * 2**64
