"""The data card for readers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any


def markdown(card: dict[str, Any]) -> str:
    """The card for readers."""
    parts = [
        f"# Data card\n\n{card['items']} items for {card['purpose']}. {card['use']}\n",
        f"Made by {_reasons(card['versions'])}.\n",
        f"Settings: {_reasons(card['settings'])}.\n" if "settings" in card else "",
        "## What is in it\n",
        *(_counts(axis, counts) for axis, counts in card["by"].items()),
        _counts("number of options", card["options"]),
        _counts("right letter", card["answers"]),
        "\n## Inputs\n",
        _table(
            ("file", "rows", "read", "sha256", "set aside"),
            [
                (
                    i["file"],
                    i.get("rows", ""),
                    i.get("kept", ""),
                    (i["sha256"] or "")[:16],
                    _reasons(i.get("reasons", {})),
                )
                for i in card["inputs"]
            ],
        ),
        _sources(card.get("sources")),
        "\n## Funnel\n",
        _table(
            ("step", "source", "in", "kept", "set aside"),
            [
                (step["step"], source, row["in"], row["kept"], _reasons(row["reasons"]))
                for step in card["funnel"]
                for source, row in step["sources"].items()
            ],
        ),
        f"\nTries before the proof: {_reasons(card['proofs'])}.\n" if card.get("proofs") else "",
        "\nRepaired or masked, by step:\n" if any(s["changes"] for s in card["funnel"]) else "",
        *(f"- {s['step']}: {_reasons(s['changes'])}\n" for s in card["funnel"] if s["changes"]),
        _duplicates(card.get("duplicates")),
        _decontaminated(card),
        "\n## Labels and difficulty\n",
        _label_check(card["label_check"]),
        _difficulty(card["difficulty"]),
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


def _sources(found: Sequence[dict[str, Any]] | None) -> str:
    if not found:
        return ""
    return "\nSources of the graph:\n\n" + _table(tuple(found[0]), [tuple(row.values()) for row in found])


def _duplicates(found: dict[str, Any] | None) -> str:
    return f"\nDuplicates: {_reasons(found)}.\n" if found else ""


def _decontaminated(card: dict[str, Any]) -> str:
    if card["benchmarks"]:
        rows = [
            (name, hits["questions"], hits["items"], _reasons(hits["rules"]))
            for name, hits in card["benchmarks"].items()
        ]
        text = "\nDecontaminated against:\n\n" + _table(("benchmark", "its questions", "items hit", "by rule"), rows)
        if bad := card.get("benchmark_rows_not_compared"):
            text += f"\n**{bad} rows of the benchmark files could not be read**: see rejects.jsonl.\n"
        return text
    return "\n**Not decontaminated**: no benchmark was given.\n" if card["purpose"] == "training" else ""


def _label_check(found: dict[str, Any]) -> str:
    if not found["done"]:
        return "The label check was **not run**: wrong labels of the sources are in the corpus.\n"
    counts = {k: v for k, v in found.items() if isinstance(v, int) and k not in ("done", "trials")}
    text = f"Label check, {found['trials']} trials by {found['by']}: {_reasons(counts)}. See review.jsonl.\n"
    if found.get("wrong labels caught") is not None:
        text += f"\nOf these items with another option as their label, {found['wrong labels caught']:.1%} would fail.\n"
    if "what" in found:
        text += f"\n{found['what']}\n"
    if "families" in found:
        rows = [
            (name, row["checked"], row["to review"], _reasons(row["right trials"]))
            for name, row in found["families"].items()
        ]
        text += "\n" + _table(("family", "checked", "to review", "items by number of right trials"), rows)
    return text


def _difficulty(found: dict[str, Any]) -> str:
    text = f"Difficulty by {found['by']}: {_reasons(found['split'])}.\n"
    if "rule" in found:
        text += f"\nRule: {found['rule']}\n"
    if "structural_and_measured" in found:
        rows = [(tier, *row.values()) for tier, row in found["structural_and_measured"].items()]
        first = next(iter(found["structural_and_measured"].values()))
        text += "\n" + _table(("by structure", *(f"then {name}" for name in first)), rows)
    return text


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
    kinds = {kind: row for kind, row in found.items() if isinstance(row, dict)}
    columns = {
        "type": lambda kind, row: kind,
        "entities": lambda kind, row: row["entities"],
        "mentioned before": lambda kind, row: row["mentioned_before"],
        "after": lambda kind, row: row["mentioned_after"],
        "rare": lambda kind, row: row["rare"],
        "rare, enough known to ask": lambda kind, row: row.get("rare_askable", "-"),
        "rare mentioned before": lambda kind, row: row["rare_covered_before"],
        "rare after": lambda kind, row: row["rare_covered_after"],
        "share": lambda kind, row: _share(row["rare_covered_after"], row),
    }
    if any("rare_covered_uniform" in row for row in kinds.values()):
        columns["rare, uniform sampling"] = lambda kind, row: row["rare_covered_uniform"]
        columns["share, uniform"] = lambda kind, row: _share(row["rare_covered_uniform"], row)
    head = tuple(columns)
    rows = [tuple(cell(kind, row) for cell in columns.values()) for kind, row in kinds.items()]
    below = next(iter(kinds.values()))["rare_below"] if kinds else 0
    before = found.get("before", "in the curated items alone (before)")
    return f"Rare = fewer than {below} mentions {before}.\n\n{_table(head, rows)}"


def _share(covered: int, row: dict[str, Any]) -> str:
    return f"{covered / row['rare']:.4f}" if row["rare"] else "-"


def _item(number: int, item: dict[str, Any]) -> str:
    text = json.dumps(item, ensure_ascii=False, indent=1)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{number}.\n{fence}json\n{text}\n{fence}\n"
