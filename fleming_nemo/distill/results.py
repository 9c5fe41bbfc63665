"""From the journal to what a run leaves: cot.jsonl, rejected.jsonl, funnel.json and card.json."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import write_json
from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.chains import Chain, row
from fleming_nemo.distill.filters import FILTERS
from fleming_nemo.distill.journal import Row, decided

_STAGES = ("endpoint", *FILTERS, "faithfulness")


def write_results(
    folder: Path, items: Iterable[QAItem], settings: Mapping[str, Any], prices: Mapping[str, tuple[float, float]]
) -> Row:
    """Write the four files, each whole or not at all, and give back the card. One pass, one item in memory."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("items", "attempts", "rejected", "reasons")}
    shares: dict[str, Counter[str]] = {name: Counter() for name in ("style", "mode", "language", "rounds", "family")}
    tokens: Counter[str] = Counter()
    accepted, rejected = _Lines(folder / "cot.jsonl"), _Lines(folder / "rejected.jsonl")
    with accepted, rejected:
        for item, (_, rows) in zip(items, decided(folder / "attempts.jsonl"), strict=True):
            _count(counts["attempts"], tokens, rows)
            last = next((r for r in rows if r["accepted"]), rows[-1])
            if last["accepted"]:
                chain = _chain(item, rows, last, settings)
                accepted.write(row(chain))
                counts["items"]["accepted"] += 1
                _shares(shares, item, last)
            else:
                rejected.write(
                    {"item_id": item.id, "filter": last["filter"], "reason": last["reason"], "attempts": len(rows)}
                )
                counts["items"]["rejected"] += 1
                counts["rejected"][last["filter"]] += 1
                counts["reasons"][f"{last['filter']}: {last['reason']}"] += 1
    write_json(folder / "funnel.json", _funnel(counts, settings))
    card = _card(counts, shares, tokens, settings, prices)
    write_json(folder / "card.json", card)
    return card


def _chain(item: QAItem, rows: list[Row], last: Row, settings: Mapping[str, Any]) -> Chain:
    reasoning = Candidate(item, last["text"]).reasoning
    made = {
        "model": settings["model"],
        "mode": settings["mode"],
        "written_by": last["mode"],
        "rounds": last["round"],
        "trial": last["trial"],
        "attempts": len(rows),
        "verdicts": [r["filter"] or ("accepted" if r["accepted"] else "not chosen") for r in rows],
        "faithful_by": last["judge"]["by"] if last["judge"] else None,
        "sha256": last["sha256"],
    }
    return Chain(item.id, reasoning, item.letter, last["style"] or last["mode"], settings["teacher"], True, made)


def _count(attempts: Counter[str], tokens: Counter[str], rows: list[Row]) -> None:
    attempts["all"] += len(rows)
    for one in rows:
        passed = one["filter"] is None
        attempts["accepted" if one["accepted"] else "not chosen" if passed else one["filter"]] += 1
        for spender, spent in (("teacher", one), ("judge", one["judge"] or {})):
            tokens[f"{spender} prompt"] += spent.get("prompt_tokens", 0)
            tokens[f"{spender} completion"] += spent.get("completion_tokens", 0)


def _shares(shares: dict[str, Counter[str]], item: QAItem, last: Row) -> None:
    shares["style"][last["style"] or last["mode"]] += 1
    shares["mode"][last["mode"]] += 1
    shares["language"][item.language] += 1
    shares["rounds"][str(last["round"])] += 1
    shares["family"][str(item.provenance.get("family") or item.source)] += 1


def _funnel(counts: dict[str, Counter[str]], settings: Mapping[str, Any]) -> Row:
    """Attempts that reached each filter and were stopped by it, in the order the filters are asked."""
    left = counts["attempts"]["all"]
    filters = {}
    for stage in _STAGES:
        stopped = counts["attempts"][stage]
        filters[stage] = {"examined": left, "stopped": stopped}
        left -= stopped
    items = {name: counts["items"][name] for name in ("accepted", "rejected")}
    reasons = dict(sorted(counts["reasons"].items()))
    attempts = {"all": counts["attempts"]["all"], "not chosen": counts["attempts"]["not chosen"]}
    rejected = {stage: counts["rejected"][stage] for stage in _STAGES if counts["rejected"][stage]}
    return {"distill": dict(settings), "items": items, "attempts": attempts, "filters": filters} | {
        "items rejected by": rejected,
        "reasons": reasons,
    }


def _card(
    counts: dict[str, Counter[str]],
    shares: dict[str, Counter[str]],
    tokens: Counter[str],
    settings: Mapping[str, Any],
    prices: Mapping[str, tuple[float, float]],
) -> Row:
    accepted = counts["items"]["accepted"]
    cost = sum(
        tokens[f"{spender} prompt"] * price_in + tokens[f"{spender} completion"] * price_out
        for spender, (price_in, price_out) in prices.items()
    )
    return {
        "settings": dict(settings),
        "items": sum(counts["items"].values()),
        "accepted": accepted,
        "rejected": counts["items"]["rejected"],
        "attempts": counts["attempts"]["all"],
        "tokens": dict(sorted(tokens.items())),
        "cost": round(cost / 1e6, 6),
        "shares": {
            name: {key: round(number / accepted, 4) for key, number in sorted(found.items())}
            for name, found in shares.items()
            if accepted
        },
    }


class _Lines:
    """JSON Lines through a temporary name, line by line; the name appears when all is written."""

    def __init__(self, path: Path) -> None:
        self.path, self.temporary = path, path.with_name(f".{path.name}.tmp")

    def __enter__(self) -> "_Lines":
        self._file = open(self.temporary, "w", encoding="utf-8")
        return self

    def write(self, value: Row) -> None:
        self._file.write(json.dumps(value, ensure_ascii=False) + "\n")

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink()
