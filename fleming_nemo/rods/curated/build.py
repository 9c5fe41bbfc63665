"""From a plan to a corpus: read, format, anonymise, unique, further steps, label check, difficulty, mix, card.

Everything under `work/` has completion markers and may be deleted at any time; the results are

    items.jsonl     the corpus              review.jsonl   items whose label a person must look at
    rejects.jsonl   what was set aside      card.md, card.json   the data card; manifest.json, written last, its hashes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256, write_json, write_jsonl, write_text
from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.card.card import data_card
from fleming_nemo.rods.card.coverage import MentionFinder, coverage, graph_entities, mentions
from fleming_nemo.rods.card.markdown import markdown
from fleming_nemo.rods.curated.difficulty import set_difficulty, tiers_from_ledger, tiers_from_model
from fleming_nemo.rods.curated.funnel import read_tally, summed
from fleming_nemo.rods.curated.label_check import check_labels, read_decisions
from fleming_nemo.rods.curated.mix import draw
from fleming_nemo.rods.curated.overlap_steps import overlap_steps
from fleming_nemo.rods.curated.plan import Plan
from fleming_nemo.rods.curated.rejects import Reject, write_rejects
from fleming_nemo.rods.curated.steps import ItemStep, clean_step, load_items, read_step, tally, unique
from fleming_nemo.rods.curated.votes import ask_votes, recorded_votes
from fleming_nemo.rods.stages import Shard, alone, run_shards

FINAL = ("items.jsonl", "review.jsonl", "rejects.jsonl", "card.json", "card.md")


def build(plan: Plan, out: Path, workers: int = 1, steps: Sequence[tuple[str, ItemStep]] = ()) -> dict[str, Any]:
    """Build the corpus of `plan` in `out` and return its data card.

    Args:
        steps: further named steps over all items, after duplicates and decontamination; each gives back what it keeps
            and a reject for everything else.

    Raises UserError for a plan, file or endpoint that the user must repair. The same call goes on where it stopped.
    """
    with alone(out):
        return _build(plan, out, workers, steps)


def _build(plan: Plan, out: Path, workers: int, steps: Sequence[tuple[str, ItemStep]]) -> dict[str, Any]:
    (out / "manifest.json").unlink(missing_ok=True)
    funnel, inputs, items, rejects = _read_and_clean(plan, out / "work", workers)
    kept, found, refused = unique(items)
    funnel.append(tally("unique", items, kept, refused))
    rejects += found
    own_steps, bad_benchmark_rows = overlap_steps(plan, workers)
    rejects += bad_benchmark_rows
    sections: dict[str, Any] = {"benchmarks": {}, "benchmark_rows_not_compared": len(bad_benchmark_rows)}
    for name, step in (*own_steps, *steps):
        before, done = kept, step(kept)
        found_here = done.rejects
        sections |= done.card
        kept, left = list(done.kept), {i.id for i in done.kept}
        gone = [i for i in before if i.id not in left]
        if len(found_here) < len(gone):
            raise RuntimeError(f"step {name}: {len(gone)} items are gone, {len(found_here)} have a reject")
        # one reject each, in the order of the items: then its kind says more than the step's name
        reasons = [r.kind for r in found_here] if len(found_here) == len(gone) else [name] * len(gone)
        funnel.append(tally(name, before, kept, [(i.source, why) for i, why in zip(gone, reasons, strict=True)]))
        rejects += found_here
    kept, review, checks = _check_labels(plan, kept, out / "work", funnel, rejects)
    kept, checks["difficulty"] = _label_difficulty(plan, kept, out / "work")
    pool = kept
    if plan.mix:
        kept, checks["mix"] = draw(pool, plan.mix, plan.seed)
        taken = {i.id for i in kept}
        funnel.append(tally("mix", pool, kept, [(i.source, "not drawn") for i in pool if i.id not in taken]))
    checks["coverage"] = _coverage(plan, pool, kept)
    card = data_card(plan.purpose, plan.seed, kept, funnel, inputs, sections | checks)
    return _write(plan, out, kept, review, rejects, card)


def _read_and_clean(
    plan: Plan, work: Path, workers: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[QAItem], list[Reject]]:
    jobs: list[tuple[Any, Any, str]] = [(None, None, path) for path in plan.items]
    for entry in plan.sources:
        jobs += [(entry, plan.mappings[entry.use], path) for path in entry.files or ("",)]
    inputs: list[dict[str, Any]] = []
    shards = []
    for number, (entry, mapping, path) in enumerate(jobs):
        state = {"file": path, "sha256": _hash(path)} if path else {"hub": asdict(entry)}
        inputs.append({"file": path or f"{entry.hub or mapping.hub}@{entry.revision}", "sha256": state.get("sha256")})
        depends_on = [state, entry and asdict(entry), mapping and asdict(mapping), plan.purpose]
        arguments = (entry, mapping, path, plan.purpose == "training")
        shards.append(Shard(work / "read" / f"{number:03d}", read_step, arguments, depends_on))
    counts = run_shards(shards, workers, "read")
    parts = []
    for number, ((_, mapping, _), shard, read) in enumerate(zip(jobs, shards, counts, strict=True)):
        published = list(mapping.published) if mapping else []
        for k, digest in enumerate(read["parts"]):
            folder = work / "clean" / f"{number:03d}-{k:05d}"
            part = str(shard.folder / f"part-{k:05d}.jsonl")
            parts.append(Shard(folder, clean_step, (part, published), [digest, published]))
    cleaned = run_shards(parts, workers, "clean")
    for known, read in zip(inputs, counts, strict=True):
        known.update(rows=read["rows"], kept=sum(read["kept"].values()), reasons=read["reasons"])
    items = [item for shard in parts for item in load_items(shard.folder / "items.jsonl")]
    rejects = [r for shard in (*shards, *parts) for r in _load_rejects(shard.folder / "rejects.jsonl")]
    funnel = [read_tally(counts)]
    for place, name in enumerate(("format", "anonymise")):
        funnel.append(summed(name, [done["steps"][place] for done in cleaned]))
    return funnel, inputs, items, rejects


def _check_labels(
    plan: Plan, items: list[QAItem], work: Path, funnel: list[dict[str, Any]], rejects: list[Reject]
) -> tuple[list[QAItem], list[dict[str, Any]], dict[str, Any]]:
    wanted = plan.label_check
    if wanted is None:
        return items, [], {"label_check": {"done": False}}
    if wanted.endpoint:
        votes, _ = ask_votes(items, wanted.endpoint, wanted.trials, work / "label_check")
        by = wanted.endpoint.model
    else:
        votes, by = recorded_votes(Path(wanted.answers), items), wanted.answers
    decisions = read_decisions(Path(wanted.decisions)) if wanted.decisions else None
    result = check_labels(items, votes, wanted.trials, decisions)
    funnel.append(tally("label check", items, result.kept, result.refused))
    rejects += result.rejects
    report = {"done": True, "by": by, "trials": wanted.trials, **dict(sorted(result.counts.items()))}
    return result.kept, result.review, {"label_check": report}


def _label_difficulty(plan: Plan, items: list[QAItem], work: Path) -> tuple[list[QAItem], dict[str, Any]]:
    wanted = plan.difficulty
    if wanted is None:
        labelled, split = set_difficulty(items, {})
        return labelled, {"by": "the sources themselves", "split": split}
    if wanted.endpoint:
        tiers, by = tiers_from_model(items, wanted.endpoint, work / "difficulty"), wanted.endpoint.model
    else:
        tiers, by = tiers_from_ledger(Path(wanted.ledger), wanted.thresholds, wanted.policy), wanted.ledger
    labelled, split = set_difficulty(items, tiers)
    report = {"by": by, "labelled": sum(i.id in tiers for i in items), "split": split}
    return labelled, report | ({"thresholds": asdict(wanted.thresholds)} if wanted.ledger else {})


def _coverage(plan: Plan, pool: Sequence[QAItem], corpus: Sequence[QAItem]) -> dict[str, Any] | None:
    """Before = the curated part of the pool (read through a mapping), after = the corpus."""
    if not plan.graph:
        return None
    entities = graph_entities(Path(plan.graph))
    finder = MentionFinder(entities)
    curated = mentions((i for i in pool if "mapping" in i.provenance), finder)
    return coverage(entities, curated, mentions(corpus, finder))


def _write(
    plan: Plan,
    out: Path,
    items: list[QAItem],
    review: list[dict[str, Any]],
    rejects: list[Reject],
    card: dict[str, Any],
) -> dict[str, Any]:
    write_jsonl(out / "items.jsonl", map(asdict, items))
    write_jsonl(out / "review.jsonl", review)
    write_rejects(out / "rejects.jsonl", rejects)
    card["files"] = {name: sha256(out / name) for name in FINAL[:3]}
    write_json(out / "card.json", card)
    write_text(out / "card.md", markdown(card))
    hashes = {name: sha256(out / name) for name in FINAL}
    counts = {"items": len(items), "review": len(review), "rejects": len(rejects)}
    write_json(out / "manifest.json", {"purpose": plan.purpose, "seed": plan.seed, **counts, "sha256": hashes})
    return card


def _load_rejects(path: Path) -> list[Reject]:
    with open(path, encoding="utf-8") as lines:
        return [Reject(**json.loads(line)) for line in lines]


def _hash(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the plan.") from error
