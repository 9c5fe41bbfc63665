"""The data card: what went in, what every step set aside, what is in the corpus and under which licences."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.curated.plan import Plan

SAMPLE = 20
_RESTRICTED = re.compile(r"non-?commercial|no-?deriv|\bNC\b|\bND\b", re.IGNORECASE)
_UNCLEAR = re.compile(r"not (?:verified|stated)|check the card", re.IGNORECASE)
PURPOSE = "For research on language models. Not medical advice; not checked by clinicians."


def data_card(
    plan: Plan,
    items: Sequence[QAItem],
    funnel: Sequence[dict[str, Any]],
    inputs: Sequence[dict[str, Any]],
    checks: dict[str, Any],
) -> dict[str, Any]:
    """Everything the card says, as JSON; the same input gives the same card to the byte."""
    licences = Counter((i.source, str(i.provenance.get("licence") or "not stated")) for i in items)
    return {
        "purpose": plan.purpose,
        "use": PURPOSE,
        "items": len(items),
        "by": {
            axis: dict(sorted(Counter(str(getattr(i, axis) or "none") for i in items).items()))
            for axis in ("source", "language", "difficulty", "split")
        },
        "options": {str(k): n for k, n in sorted(Counter(len(i.options) for i in items).items())},
        "answers": dict(sorted(Counter(i.letter for i in items if i.options).items())),
        "inputs": list(inputs),
        "funnel": list(funnel),
        "benchmarks": list(plan.benchmarks),
        **checks,
        "licences": [
            {"source": source, "licence": licence, "items": n, "note": _note(licence)}
            for (source, licence), n in sorted(licences.items())
        ],
        "sample": [asdict(item) for item in sample(items, plan.seed)],
    }


def sample(items: Sequence[QAItem], seed: int) -> list[QAItem]:
    """Twenty items that depend on seed and identifiers alone."""
    return sorted(items, key=lambda i: hashlib.sha256(f"card/{seed}/{i.id}".encode()).digest())[:SAMPLE]


def _note(licence: str) -> str:
    if _RESTRICTED.search(licence):
        return "restricted: NonCommercial or NoDerivatives terms hold for the whole corpus"
    return "unclear: read the terms of your copy before sharing" if _UNCLEAR.search(licence) else ""


def markdown(card: dict[str, Any]) -> str:
    """The card for readers."""
    parts = [
        f"# Data card\n\n{card['items']} items for {card['purpose']}. {card['use']}\n",
        "## What is in it\n",
        *(_counts(axis, counts) for axis, counts in card["by"].items()),
        _counts("number of options", card["options"]),
        _counts("right letter", card["answers"]),
        "\n## Inputs\n",
        _table(
            ("file", "rows", "read", "sha256", "set aside"),
            [
                (i["file"], i["rows"], i["kept"], (i["sha256"] or "")[:16], _reasons(i["reasons"]))
                for i in card["inputs"]
            ],
        ),
        "\n## Funnel\n",
        _table(
            ("step", "source", "in", "kept", "set aside"),
            [
                (step["step"], source, row["in"], row["kept"], _reasons(row["reasons"]))
                for step in card["funnel"]
                for source, row in step["sources"].items()
            ],
        ),
        "\nRepaired or masked, by step:\n",
        *(f"- {s['step']}: {_reasons(s['changes'])}\n" for s in card["funnel"] if s["changes"]),
        _decontaminated(card),
        "\n## Labels and difficulty\n",
        _label_check(card["label_check"]),
        f"Difficulty by {card['difficulty']['by']}: {_reasons(card['difficulty']['split'])}.\n",
        _mix(card.get("mix")),
        "\n## Coverage of the knowledge graph\n",
        _coverage(card["coverage"]),
        "\n## Licences\n",
        _table(("source", "licence", "items", "note"), [tuple(row.values()) for row in card["licences"]]),
        "\n## Files\n",
        _table(("file", "sha256"), list(card.get("files", {}).items())),
        f"\n## {len(card['sample'])} random items\n",
        *(_item(number, item) for number, item in enumerate(card["sample"], 1)),
    ]
    return "\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _counts(name: str, counts: dict[str, int]) -> str:
    return f"- {name}: {_reasons(counts)}\n"


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"


def _table(head: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _decontaminated(card: dict[str, Any]) -> str:
    if card["benchmarks"]:
        return f"\nDecontaminated against {', '.join(card['benchmarks'])}.\n"
    return "\n**Not decontaminated**: no benchmark was given.\n" if card["purpose"] == "training" else ""


def _label_check(found: dict[str, Any]) -> str:
    if not found["done"]:
        return "The label check was **not run**: wrong labels of the sources are in the corpus.\n"
    counts = {k: v for k, v in found.items() if k not in ("done", "by", "trials")}
    return f"Label check, {found['trials']} trials by {found['by']}: {_reasons(counts)}. See review.jsonl.\n"


def _mix(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    rows = [
        (
            axis,
            value,
            "-" if row["asked"] is None else f"{row['asked']:.3f}",
            f"{row['share']:.3f}",
            row["taken"],
            row["pool"],
        )
        for axis, values in found["axes"].items()
        for value, row in values.items()
    ]
    return "\n## Mix\n\n" + _table(("axis", "value", "asked", "share", "taken", "pool"), rows)


def _coverage(found: dict[str, Any] | None) -> str:
    if not found:
        return "Not measured: the plan names no graph.\n"
    head = ("type", "entities", "mentioned before", "after", "rare", "rare mentioned before", "after")
    names = ("entities", "mentioned_before", "mentioned_after", "rare", "rare_covered_before", "rare_covered_after")
    rows = [(kind, *(row[name] for name in names)) for kind, row in found.items()]
    below = next(iter(found.values()))["rare_below"] if found else 0
    return f"Rare = fewer than {below} mentions in the curated items alone (before).\n\n{_table(head, rows)}"


def _item(number: int, item: dict[str, Any]) -> str:
    text = json.dumps(item, ensure_ascii=False, indent=1)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{number}.\n{fence}json\n{text}\n{fence}\n"
