"""Ask the questions of one tier and split: option families, evidence, wording, provenance."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from fleming_nemo.data.items import QAItem, item_id
from fleming_nemo.rods.distractors import Nearness, Option, almost_fits, draw_family, options_of_tier
from fleming_nemo.rods.evidence import Evidence, stable_hash
from fleming_nemo.rods.graph import Graph
from fleming_nemo.rods.leaks import leaks
from fleming_nemo.rods.proof import refuted
from fleming_nemo.rods.provenance import kg_provenance
from fleming_nemo.rods.universe import Universe

NUM_OPTIONS = {"easy": (4, 5), "moderate": (4, 7), "difficult": (5, 10)}
WORDINGS = {
    "easy": ("Which disease fits: {}?", "Which disease explains: {}?"),
    "moderate": ("Which gene explains: {}?", "Which gene fits: {}?"),
    "difficult": (
        "Which other disease has the same gene as the one with: {}?",
        "Which other disease shares its gene with the one with: {}?",
    ),
}


class QuestionMaker:
    """Questions of one tier and split over the given evidence, each evidence set at most `repeats` times.

    `num_leaks` counts the evidence sets that were passed over because a finding shares a word with an option.
    """

    def __init__(
        self,
        graph: Graph,
        universe: Universe,
        split: str,
        tier: str,
        seed: int,
        evidence: Iterable[Evidence],
        repeats: int,
    ) -> None:
        self.graph, self.split, self.tier, self.seed, self.repeats = graph, split, tier, seed, repeats
        self.version = universe.graph_version
        self.num_leaks = 0
        self._options = options_of_tier(universe, tier)
        self._nearness = Nearness(graph, self._options)
        self._rng = random.Random(stable_hash("families", seed, split, tier))
        self._asked: Counter[str] = Counter()
        self._diagnosed: Counter[str] = Counter()
        self._uses: Counter[Evidence] = Counter()
        self._by_disease: dict[str, list[Evidence]] = {}
        for one in evidence:
            self._by_disease.setdefault(one.disease_id, []).append(one)
        for disease_id in sorted(self._by_disease):
            self._rng.shuffle(self._by_disease[disease_id])
        self._decks: dict[int, list[int]] = {}

    def make(self, size: int) -> list[QAItem]:
        """`size` distinct items, or fewer when the evidence is used up."""
        made: dict[str, QAItem] = {}
        while len(made) < size:
            family = self._family(self._family_size(size - len(made)))
            if not family:
                break
            for option, evidence in family:
                if len(made) < size:
                    item = self._item(option, [o for o, _ in family if o is not option], evidence)
                    made.setdefault(item.id, item)
        return list(made.values())

    def _family_size(self, remaining: int) -> int:
        """Number of options, drawn such that whole families add up to the size asked for whenever they can."""
        low, high = NUM_OPTIONS[self.tier]
        fitting = [n for n in range(low, high + 1) if _is_sum_of_families(remaining - n, low, high)]
        return self._rng.choice(fitting) if fitting else low

    def _family(self, size: int) -> list[tuple[Option, Evidence]]:
        """Options with the evidence that asks for each. Empty when no full family is left."""
        barred: set[str] = set()
        while True:
            pool = [o for o in self._options if o.node not in barred and self._stock(o)]
            alone = self.tier == "difficult"
            family = draw_family(pool, size, self._asked, self._nearness, alone, self._rng)
            if len(family) < NUM_OPTIONS[self.tier][0]:
                return []
            chosen = [(option, self._evidence(option, family)) for option in family]
            kept = [(option, evidence) for option, evidence in chosen if evidence is not None]
            if len(kept) == len(family):
                for option, evidence in kept:
                    self._asked[option.node] += 1
                    self._diagnosed[evidence.disease_id] += 1
                    self._uses[evidence] += 1
                return kept
            barred |= {option.node for option, evidence in chosen if evidence is None}

    def _stock(self, option: Option) -> list[Evidence]:
        """Evidence that leads to the option and may be asked again."""
        own = (e for disease in option.diagnoses for e in self._by_disease.get(disease.id, ()))
        return [e for e in own if self._uses[e] < self.repeats]

    def _evidence(self, option: Option, family: list[Option]) -> Evidence | None:
        """The evidence for `option` that the rest of the family almost fits best; None when every one leaks a name.

        The diagnosis and the evidence asked least often go first, so that nearness never narrows what is asked.
        """
        others = [o for o in family if o is not option]

        def turn(evidence: Evidence) -> tuple[int, int]:
            return self._diagnosed[evidence.disease_id], self._uses[evidence]

        def distances(evidence: Evidence) -> list[int]:
            return sorted(-len(almost_fits(self.graph, o, evidence.findings)[1]) for o in others)

        for _, equals in groupby(sorted(self._stock(option), key=turn), key=turn):
            for evidence in sorted(equals, key=distances):
                names = [self.graph.terms[t].name for t in evidence.findings]
                if any(leaks(name, o.text) for name in names for o in family):
                    self.num_leaks += 1
                elif all(refuted(self.graph, evidence.findings, self.tier, o.node) for o in others):
                    return evidence
        return None

    def _item(self, option: Option, others: list[Option], evidence: Evidence) -> QAItem:
        use = self._uses[evidence]
        rng = random.Random(stable_hash("item", self.seed, self.split, self.tier, *evidence.findings, option.node, use))
        wrong = list(others)
        rng.shuffle(wrong)
        position = self._position(len(wrong) + 1)
        texts = [o.text for o in wrong]
        texts.insert(position, option.text)
        shown = [self.graph.terms[t].name for t in evidence.findings]
        rng.shuffle(shown)
        question = rng.choice(WORDINGS[self.tier]).format("; ".join(shown))
        return QAItem(
            id=item_id(question, texts, position, source="kg"),
            question=question,
            options=tuple(texts),
            answer=position,
            context=None,
            source="kg",
            language="en",
            split=self.split,
            difficulty=self.tier,
            provenance=kg_provenance(self.graph, self.version, self.tier, evidence, option, wrong),
        )

    def _position(self, num_options: int) -> int:
        """Answer positions come from a shuffled deck per option count: random, yet every letter equally often."""
        deck = self._decks.setdefault(num_options, [])
        if not deck:
            deck.extend(range(num_options))
            self._rng.shuffle(deck)
        return deck.pop()


def _is_sum_of_families(size: int, low: int, high: int) -> bool:
    """Whether some number of families of low..high options has `size` options in all."""
    fewest = -(-size // high)
    return size >= 0 and fewest * low <= size
