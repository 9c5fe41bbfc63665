"""Turn proven evidence into questions of one, two and three hops.

    easy       findings -> ? disease
    moderate   findings -> [disease] -> ? gene
    difficult  findings -> [disease] -> [gene] -> ? other disease of the gene

Bracketed nodes are masked: the question does not name them. All draws come from generators seeded by the caller's
seed and by content, never from hash order, so that the same seed gives the same items in every process.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import DIFFICULTIES, QAItem
from fleming_nemo.rods.evidence import SPLIT_SHARES, SPLITS, Evidence, proven_evidence
from fleming_nemo.rods.graph import Graph
from fleming_nemo.rods.questions import QuestionMaker
from fleming_nemo.rods.universe import Universe


@dataclass(frozen=True, slots=True)
class Plan:
    """How many items each split gets, and how often one evidence set may be asked in one tier of it."""

    sizes: Mapping[str, int] = field(default_factory=lambda: {"sft": 6000, "rl": 900, "heldout": 600})
    repeats: Mapping[str, int] = field(default_factory=lambda: {"sft": 12, "rl": 3, "heldout": 1})
    findings_per_question: int = 3
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SPLIT_SHARES))


def synthesise(graph: Graph, universe: Universe, plan: Plan, seed: int) -> tuple[list[QAItem], dict[str, object]]:
    """(items by split and tier, funnel counts).

    Each split is balanced over the three tiers and, as far as the proven evidence goes, over answers and
    letters. Raises UserError with the number available when a split is asked for more than the graph proves.
    """
    if wrong := [split for split, size in plan.sizes.items() if split not in SPLITS or size < 0]:
        raise UserError(f"size of split {wrong[0]}: sizes are 0 or more, for the splits {', '.join(SPLITS)}.")
    evidence, tried = proven_evidence(graph, universe, seed, plan.findings_per_question, plan.shares)
    leaked: Counter[str] = Counter()
    accepted: dict[str, dict[str, int]] = {}
    items: list[QAItem] = []
    bar = tqdm(total=sum(plan.sizes.values()), desc="questions", unit="item", disable=None)
    for split in SPLITS:
        own = [e for e in evidence if e.split == split]
        for tier, size in zip(DIFFICULTIES, thirds(plan.sizes.get(split, 0)), strict=True):
            maker = QuestionMaker(graph, universe, split, tier, seed, own, plan.repeats.get(split, 1))
            made = maker.make(size)
            if len(made) < size:
                available = _available(graph, universe, split, seed, own, plan)
                raise UserError(
                    f"split {split} was asked for {plan.sizes[split]} items, but the graph proves {available}; "
                    f"ask for at most {available}, or enlarge the universe or the repeats."
                )
            leaked[tier] += maker.num_leaks
            accepted.setdefault(split, {})[tier] = len(made)
            items += made
            bar.update(len(made))
    bar.close()
    funnel: dict[str, object] = {
        "candidate_sets": tried,
        "rejected_by_proof": tried - len(evidence),
        "proven_sets": len(evidence),
        "proven_sets_by_split": {split: sum(e.split == split for e in evidence) for split in SPLITS},
        "rejected_by_leak": {tier: leaked[tier] for tier in DIFFICULTIES},
        "accepted": accepted,
    }
    return items, funnel


def _available(graph: Graph, universe: Universe, split: str, seed: int, evidence: list[Evidence], plan: Plan) -> int:
    """Items of the split that can be had for certain: three times what the scarcest tier yields."""
    repeats = plan.repeats.get(split, 1)
    scarcest = min(
        len(QuestionMaker(graph, universe, split, tier, seed, evidence, repeats).make(len(evidence) * repeats))
        for tier in DIFFICULTIES
    )
    # The last few items depend on how the families happen to use the evidence up.
    return int(0.95 * scarcest) * len(DIFFICULTIES)


def thirds(size: int) -> list[int]:
    """`size` over the three tiers; what does not divide goes to the harder ones."""
    return [(size + extra) // len(DIFFICULTIES) for extra in range(len(DIFFICULTIES))]
