"""An offline teacher that reads its reasoning off the graph path of an item.

It stands in for a language model where none is at hand, and its chains always say so (teacher "graph-offline"). Two
styles: `thorough` walks the whole path; `shallow` is what label-conditioned distillation really yields at times, the
right letter without the reasoning that supports it. A mixture leaves reinforcement learning something to gain.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.chat import IM_END, render_response
from fleming_nemo.data.files import write_jsonl
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import stable_hash

TEACHER = "graph-offline"
SHALLOW_SHARE = {"easy": 0.5, "moderate": 0.5, "difficult": 0.8}


@dataclass(frozen=True, slots=True)
class Chain:
    """One line of cot.jsonl: the reasoning between the think tags, and the letter of the answer."""

    item_id: str
    reasoning: str
    letter: str
    style: str
    teacher: str = TEACHER
    verified: bool = True


def write_chains(
    items: Iterable[QAItem], seed: int, shallow_share: Mapping[str, float] = SHALLOW_SHARE
) -> list[Chain]:
    """One verified chain an item, in item order; the style is drawn from the seed and the item's id.

    Raises UserError for an item that was not made from the graph: this teacher knows nothing else.
    """
    chains = []
    for item in items:
        rng = random.Random(stable_hash("chain", seed, item.id))
        style = "shallow" if rng.random() < shallow_share[str(item.difficulty)] else "thorough"
        chain = Chain(item.id, reasoning(item, style), item.letter, style)
        _verify(item, chain)
        chains.append(chain)
    return chains


def reasoning(item: QAItem, style: str) -> str:
    """The text of one chain; `style` is "thorough" or "shallow"."""
    if item.source != "kg":
        raise UserError(f"item {item.id}: the graph teacher needs source 'kg', found {item.source!r}; use another teacher.")
    nodes, edges = item.provenance["nodes"], item.provenance["edges"]
    disease = nodes[edges[0]["from"]]
    fit = f"These findings fit {disease}."
    if item.difficulty == "easy":
        return f"{fit} So {disease} is {item.letter}." if style == "thorough" else f"Several options fit. I choose {item.letter}."
    gene = next(edge["to"] for edge in edges if edge["relation"] == "caused_by")
    cause = f"The gene of {disease} is {gene}."
    if item.difficulty == "moderate":
        return f"{fit} {cause} So {gene} is {item.letter}." if style == "thorough" else f"Several options fit. I choose {item.letter}."
    other = nodes[item.provenance["answer_node"]]
    if style == "thorough":
        return f"{fit} {cause} {gene} also causes {other}. So {other} is {item.letter}."
    return f"{fit} {cause} I choose {item.letter}."


def _verify(item: QAItem, chain: Chain) -> None:
    # Imported here so that reading chains does not pull in the reward room.
    from fleming_nemo.reward.verify import Outcome, verify

    text = render_response(chain.reasoning, chain.letter).removesuffix(IM_END)
    verdict = verify(text, len(item.options), item.answer, finished=True)
    if verdict.outcome is not Outcome.CORRECT:
        raise ValueError(f"item {item.id}: the teacher's chain is {verdict.outcome}: {verdict.reason}")


def save_chains(path: Path | str, chains: Iterable[Chain]) -> None:
    """Write cot.jsonl, whole or not at all."""
    write_jsonl(Path(path), (asdict(chain) for chain in chains))
