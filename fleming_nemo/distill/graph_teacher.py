"""The demo's offline teacher, which reads its reasoning off the path of a question of the small graph.

It stands in for a language model where none is at hand, and its chains always say so (teacher "graph-offline"). Two
styles: `thorough` walks the whole path; `shallow` is what label-conditioned distillation really yields at times, the
right letter without the reasoning that supports it. A mixture leaves reinforcement learning something to gain.
"""

import random
from collections.abc import Collection, Mapping

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.chat import IM_END, render_check, render_response
from fleming_nemo.data.items import DIFFICULTIES, QAItem
from fleming_nemo.distill.chains import Chain, read_chains, save_chains
from fleming_nemo.reward.verify import Outcome, verify
from fleming_nemo.rods.evidence import stable_hash

__all__ = ["Chain", "read_chains", "save_chains", "shallow", "thorough", "write_chains"]

TEACHER = "graph-offline"
SHALLOW_SHARE = {"easy": 0.5, "moderate": 0.5, "difficult": 0.8}


def write_chains(
    items: Collection[QAItem], seed: int, shallow_share: Mapping[str, float] = SHALLOW_SHARE
) -> list[Chain]:
    """One verified chain an item, in item order; the style is drawn from the seed and the item's id.

    `shallow_share` gives the share of shallow chains (0..1) of each tier. Raises UserError for an item that was not
    made from the graph: this teacher knows nothing else.
    """
    for tier in DIFFICULTIES:
        if not 0 <= shallow_share.get(tier, -1) <= 1:
            raise UserError(f"the share of shallow chains for {tier} items must lie in 0..1; set it.")
    return [_chain(item, seed, shallow_share) for item in tqdm(items, desc="chains", unit="chain", disable=None)]


def _chain(item: QAItem, seed: int, shallow_share: Mapping[str, float]) -> Chain:
    if item.source != "kg" or item.difficulty is None:
        raise UserError(f"item {item.id} comes from {item.source}, not from the graph; use another teacher for it.")
    rng = random.Random(stable_hash("chain", seed, item.id))
    style = "shallow" if rng.random() < shallow_share[item.difficulty] else "thorough"
    reasoning = thorough(item) if style == "thorough" else shallow(item)
    text = render_response(reasoning, item.letter).removesuffix(IM_END)
    verdict = verify(text, len(item.options), int(item.answer), finished=True)
    if verdict.outcome is not Outcome.CORRECT:
        raise UserError(f"item {item.id}: its chain fails verification ({verdict.reason}); rebuild the items.")
    return Chain(item.id, reasoning, item.letter, style, TEACHER)


def thorough(item: QAItem) -> str:
    """The whole path, one sentence an edge, and a look at the options up to the one it ends at."""
    return f"{_path(item)} {render_check(item.options, int(item.answer))}"


def shallow(item: QAItem) -> str:
    """The letter without its support: no path at all, or (difficult) a path that stops one edge short."""
    if item.difficulty == "difficult":
        return f"{_fit(item)} {_cause(item)} I choose {item.letter}."
    return f"Several options fit. I choose {item.letter}."


def _path(item: QAItem) -> str:
    if item.difficulty == "easy":
        return _fit(item)
    if item.difficulty == "moderate":
        return f"{_fit(item)} {_cause(item)}"
    return f"{_fit(item)} {_cause(item)} {_gene(item)} also causes {_answer(item)}."


def _fit(item: QAItem) -> str:
    return f"These findings fit {_disease(item)}."


def _cause(item: QAItem) -> str:
    return f"The gene of {_disease(item)} is {_gene(item)}."


def _disease(item: QAItem) -> str:
    """The diagnosis: where the has_phenotype edges of the path start."""
    return item.provenance["nodes"][item.provenance["edges"][0]["from"]]


def _gene(item: QAItem) -> str:
    return next(edge["to"] for edge in item.provenance["edges"] if edge["relation"] == "caused_by")


def _answer(item: QAItem) -> str:
    return item.provenance["nodes"][item.provenance["answer_node"]]
