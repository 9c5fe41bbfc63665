"""From a proven draft to a QA item: wording, order of the options, difficulty and provenance."""

import random
from dataclasses import dataclass, field
from typing import Any

from fleming_nemo.data.items import QAItem, item_id
from fleming_nemo.rods.evidence import stable_hash
from fleming_nemo.rods.synth import wording
from fleming_nemo.rods.synth.facts import Clue, Facts
from fleming_nemo.rods.synth.families import Family
from fleming_nemo.rods.synth.names import holds

DATASET = "Knowledge graph of public sources"


@dataclass(slots=True)
class Draft:
    """One proven question before it is worded. Node numbers throughout; `texts` holds names as shown."""

    family: Family
    language: str
    split: str
    walk: tuple[int, ...]
    clues: list[Clue]
    texts: dict[int, str]
    shown_bridges: list[int]
    options: list[int]
    moves: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def target(self) -> int:
        return self.walk[-1]

    @property
    def masked(self) -> list[int]:
        """Nodes on the way that the question does not name."""
        hidden = self.walk[:-1] if self.family.start != "named" else self.walk[1:-1]
        return [node for node in hidden if node not in self.shown_bridges]


def compose(
    facts: Facts, draft: Draft, version: str, licences: dict[str, str], group: str, rng: random.Random
) -> QAItem:
    """Options in random order, so that the place of the answer is uniform; id from the content.

    `group` marks the questions that share one option list.
    """
    kg, order = facts.kg, list(draft.options)
    rng.shuffle(order)
    options = [draft.texts[node] for node in order]
    answer = order.index(draft.target)
    parts: dict[str, list[str]] = {"present": [], "absent": [], "often": [], "seldom": [], "start": []}
    for clue in draft.clues:
        parts[clue.band or ("present" if clue.present else "absent")].append(draft.texts[clue.term])
    if draft.family.start == "named":
        parts["start"].append(draft.texts[draft.walk[0]])
    # A bridge that the name of the start holds already (the gene of a variant) needs no sentence of its own.
    unsaid = [n for n in draft.shown_bridges if not any(holds(text, draft.texts[n]) for text in parts["start"])]
    hints = [(kg.types[n], draft.texts[n]) for n in unsaid]
    opening = draft.family.start_type if draft.family.start == "named" else draft.family.start
    question = wording.stem(draft.family.name, opening, draft.language, parts, hints, rng)
    dials = _dials(facts, draft)
    return QAItem(
        id=item_id(question, options, answer, source="kg"),
        question=question,
        options=tuple(options),
        answer=answer,
        context=None,
        source="kg",
        language=draft.language,
        split=draft.split,
        difficulty=_difficulty(dials),
        provenance={"group": group}
        | _provenance(facts, draft, version, licences, [n for n in order if n != draft.target], dials),
    )


def _dials(facts: Facts, draft: Draft) -> dict[str, float]:
    bits = [facts.findings.information(clue.term) for clue in draft.clues if clue.present]
    shared = [len(move["shared"]) / len(draft.clues) for move in draft.moves.values() if draft.clues]
    return {
        "hops": draft.family.num_hops,
        "masked": len(draft.masked),
        "clues": len(draft.clues),
        "negatives": sum(not clue.present for clue in draft.clues),
        "obfuscated": sum(draft.texts[n] != facts.kg.names[n] for n in draft.texts if n not in draft.options)
        + sum(clue.term != clue.own for clue in draft.clues),
        "information": round(sum(bits) / len(bits), 2) if bits else 0.0,
        "overlap": round(max(shared), 2) if shared else 0.0,
        "options": len(draft.options),
    }


def _difficulty(dials: dict[str, float]) -> str:
    """One point each for depth beyond one relation, near misses, many options, vague and disguised clues."""
    points = (
        min(dials["hops"] - 1, 3)
        + (dials["overlap"] >= 0.5)
        + (dials["options"] >= 8)
        + (dials["clues"] > 0 and dials["information"] < 7)
        + (dials["obfuscated"] > 0)
    )
    return "easy" if points <= 1 else "moderate" if points <= 3 else "difficult"


def _provenance(
    facts: Facts, draft: Draft, version: str, licences: dict[str, str], wrong: list[int], dials: dict[str, float]
) -> dict[str, Any]:
    kg = facts.kg
    edges = [facts.statement("has_phenotype", draft.walk[0], clue.own, not clue.present) for clue in draft.clues]
    for hop, one, other in zip(draft.family.hops, draft.walk, draft.walk[1:], strict=False):
        pair = (one, other) if hop.direction == "out" else (other, one)
        if hop.direction == "either" and not facts.edges(hop.relation, *pair):
            pair = (other, one) if pair == (one, other) else (one, other)
        edges.append(facts.statement(hop.relation, *pair))
    named = dict.fromkeys((*draft.walk, *(clue.own for clue in draft.clues), *(clue.term for clue in draft.clues)))
    sources = sorted({source for edge in edges for source in edge["sources"]})
    clues = [
        {
            "term": kg.ids[c.term],
            "own": kg.ids[c.own],
            "present": c.present,
            "band": c.band,
            "text": draft.texts[c.term],
        }
        for c in draft.clues
    ]
    return {
        "dataset": DATASET,
        "revision": version,
        "graph_version": version,
        "licence": "; ".join(sorted({licences.get(source, source) for source in sources})),
        "sources": sources,
        "family": draft.family.name,
        "subgraph": f"{stable_hash('subgraph', draft.family.name, *(kg.ids[n] for n in named)):016x}",
        "path": [kg.ids[node] for node in draft.walk],
        "edges": edges,
        "nodes": {kg.ids[node]: kg.names[node] for node in named},
        "clues": clues,
        "start_text": draft.texts[draft.walk[0]] if draft.family.start == "named" else None,
        "masked": [kg.ids[node] for node in draft.masked],
        "shown": {kg.ids[node]: draft.texts[node] for node in draft.shown_bridges},
        "answer_node": kg.ids[draft.target],
        "distractors": [{"option": draft.texts[n], "node": kg.ids[n], **draft.moves[n]} for n in wrong],
        "dials": dials,
    }
