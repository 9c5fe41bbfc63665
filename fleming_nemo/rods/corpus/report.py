"""What the card says of a synthesised corpus: its funnel, its label check, the sources of its graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fleming_nemo.data.items import LETTERS
from fleming_nemo.rods.corpus.choose import BEYOND, BROKEN
from fleming_nemo.rods.corpus.labels import WHAT_THE_SOLVER_CHECKS, LabelCheck
from fleming_nemo.rods.corpus.round import DROPPED, REVIEW, Round
from fleming_nemo.rods.curated.steps import tally
from fleming_nemo.rods.kg.table import KnowledgeGraph

_AFTER_THE_PROOF = ("refused: asked before", "refused: its facts were asked often enough", "left over")


def funnel_steps(found: Round) -> list[dict[str, Any]]:
    """What was proven, then every check in the order in which it has its say, each with counts by source."""
    counts, items = found.funnel["counts"], found.made.items
    refused = {name.removeprefix("refused: "): counts[name] for name in _AFTER_THE_PROOF if counts.get(name)}
    proven = {"in": counts["proven"], "kept": len(items), "reasons": refused}
    steps = [{"step": "proven", "sources": {"kg": proven}, "changes": {}}]
    checks: tuple[tuple[str, Any], ...] = (
        ("exact duplicates", lambda why: why == "exact duplicate"),
        ("decontaminate", lambda why: why.startswith("in benchmark")),
        ("label check", lambda why: why in (REVIEW, DROPPED)),
        ("whole option lists", lambda why: why == BROKEN),
        ("size", lambda why: why == BEYOND),
    )
    before = list(range(len(items)))
    for name, out in checks:
        after = [n for n in before if n not in found.gone or not out(found.gone[n])]
        left = set(after)
        why = [(items[n].source, found.gone[n].split(":")[0]) for n in before if n not in left]
        steps.append(tally(name, [items[n] for n in before], [items[n] for n in after], why))
        before = after
    return steps


def proof_counts(found: Round) -> dict[str, int]:
    """What was tried before something was proven, and why it was not: counts of tries, not of questions."""
    return {name: n for name, n in found.funnel["counts"].items() if name not in ("proven", *_AFTER_THE_PROOF)}


def label_section(check: LabelCheck, found: Round) -> dict[str, Any]:
    """Who checked, how many, and by family how many failed and how often each number of trials was right."""
    families: dict[str, dict[str, Any]] = {}
    review = {row["id"] for row in found.labels.review}
    for n, item in enumerate(found.made.items):
        vote = found.votes.get(item.id)
        if vote is None or n in found.overlaps.gone:
            continue
        row = families.setdefault(item.provenance["family"], {"checked": 0, "to review": 0, "right trials": Counter()})
        row["checked"] += 1
        row["to review"] += item.id in review
        row["right trials"][vote.correct] += 1
    for row in families.values():
        row["right trials"] = {str(k): row["right trials"][k] for k in range(check.trials + 1)}
    section: dict[str, Any] = {
        "done": True,
        "by": check.by,
        "trials": check.trials,
        "checked": sum(row["checked"] for row in families.values()),
        "not in the sample": len(found.made.items) - len(found.votes),
        **dict(sorted(found.labels.counts.items())),
        "wrong labels caught": _caught(found),
        "families": dict(sorted(families.items())),
    }
    return section if check.endpoint else section | {"what": WHAT_THE_SOLVER_CHECKS}


def _caught(found: Round) -> float | None:
    """Share of wrong labels that the check would notice: mean over all other options of whether no trial chose them.

    A check that lets everything pass, or that guesses, has nothing to say; this number tells it from one that does.
    """
    shares = []
    for item in found.made.items:
        vote = found.votes.get(item.id)
        if vote is not None:
            wrong = [letter for letter in LETTERS[: len(item.options)] if letter != item.letter]
            shares.append(sum(letter not in vote.answers for letter in wrong) / len(wrong))
    return round(sum(shares) / len(shares), 4) if shares else None


def graph_sources(kg: KnowledgeGraph) -> list[dict[str, Any]]:
    """Name, version and licence of everything that the graph was built from."""
    sources = kg.manifest.get("sources", [])
    rows = sources if isinstance(sources, list) else [{"name": name, **facts} for name, facts in sources.items()]
    return [{k: row.get(k) for k in ("name", "version", "licence")} for row in rows]
