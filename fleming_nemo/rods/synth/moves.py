"""Why each wrong option is a near miss and yet wrong: the relation-preserving move behind it, for the provenance."""

from typing import Any

from fleming_nemo.rods.synth.compose import Draft
from fleming_nemo.rods.synth.facts import Clue, Facts
from fleming_nemo.rods.synth.stocks import Stock

_LOOKED_AT = 20


def move(facts: Facts, stock: Stock, draft: Draft, option: int) -> dict[str, Any]:
    """What the option has in common with what is asked, and where it departs.

    The disease behind the option that fits most of the clues is named under `via`; `shared` and `missing` hold the
    ids of the findings that it has and has not.
    """
    ids = facts.kg.ids
    if not draft.clues:
        kind = draft.family.target_type
        return {"move": f"another {kind} of the same kind", "via": None, "shared": [], "missing": []}
    most: list[Clue] = []
    via = None
    if not draft.family.functional:
        for disease in sorted(stock.walker.behind(option))[:_LOOKED_AT]:
            having = [clue for clue in draft.clues if _has(facts, disease, clue)]
            if disease != draft.walk[0] and (via is None or len(having) > len(most)):
                most, via = having, disease
    shared = [ids[clue.term] for clue in most]
    return {
        "move": f"leads back to a disease that fits {len(shared)} of {len(draft.clues)} clues",
        "via": ids[via] if via is not None else None,
        "shared": shared,
        "missing": [ids[clue.term] for clue in draft.clues if clue not in most],
    }


def _has(facts: Facts, disease: int, clue: Clue) -> bool:
    findings, slot = facts.findings, facts.findings.slot[disease]
    if clue.band:
        return not findings.contradicting(clue.term, clue.band) >> slot & 1
    return bool(findings.has[clue.term] >> slot & 1) == clue.present
