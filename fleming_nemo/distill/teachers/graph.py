"""The offline teacher: it verbalises the proof of a synthetic item, and always says that it did."""

import random

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.chat import IM_END, render_response
from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.graph_teacher import TEACHER, thorough
from fleming_nemo.distill.proof import is_synthetic, proof_of
from fleming_nemo.distill.teachers import Ask, Attempt
from fleming_nemo.distill.verbalise import STYLES, verbalise
from fleming_nemo.rods.evidence import stable_hash


class GraphTeacher:
    """Same seed, same words. Questions of the small graph get the demo's thorough chains."""

    name = TEACHER
    model = "none"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    async def reason(self, item: QAItem, ask: Ask) -> Attempt:
        """A refinement is another draw of style and words.

        Raises UserError for an item that was not made from a graph: this teacher knows nothing else.
        """
        style, reasoning = self._reasoning(item, ask)
        text = render_response(reasoning, item.letter).removesuffix(IM_END)
        return Attempt("rationalise", ask.round, ask.trial, text, style=style)

    def _reasoning(self, item: QAItem, ask: Ask) -> tuple[str, str]:
        if is_synthetic(item):
            rng = random.Random(stable_hash("words", self.seed, item.id, ask.trial, ask.round))
            style = rng.choice(list(STYLES))
            return style, verbalise(proof_of(item), style, rng)
        if item.source == "kg" and item.difficulty is not None and item.provenance.get("edges"):
            return "thorough", thorough(item)
        raise UserError(f"item {item.id} comes from {item.source}, not from a graph; use --teacher endpoint for it.")
