"""The whole chain behind `data_prep/build_rods.py --items N`.

    items_{sft,rl,heldout}.jsonl   N items          review.jsonl   items whose label a person must look at
    rejects.jsonl   what a check took out           funnel.json    counts of the synthesis and of every step after it
    card.md, card.json   the data card              manifest.json  hashes of all of these, written last

Everything under `work/` has completion markers and may be deleted at any time. The bytes depend on the graph, the
settings and the files named in them, not on the number of workers, on kills or on earlier runs.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256, write_json, write_jsonl, write_text
from fleming_nemo.data.items import DIFFICULTIES
from fleming_nemo.rods.card.card import data_card, sample_ids
from fleming_nemo.rods.card.markdown import markdown
from fleming_nemo.rods.corpus.choose import choose
from fleming_nemo.rods.corpus.coverage import askable_entities, covered, uniformly_asked
from fleming_nemo.rods.corpus.difficulty import find_tiers
from fleming_nemo.rods.corpus.labels import LabelCheck, gather_votes
from fleming_nemo.rods.corpus.overlaps import find_overlaps
from fleming_nemo.rods.corpus.report import funnel_steps, graph_sources, label_section, proof_counts
from fleming_nemo.rods.corpus.round import DROPPED, REVIEW, Round
from fleming_nemo.rods.corpus.slim import read_synthesised, with_difficulty
from fleming_nemo.rods.corpus.synthesis import synthesise
from fleming_nemo.rods.corpus.write import write_items
from fleming_nemo.rods.curated.label_check import check_labels, read_decisions
from fleming_nemo.rods.curated.overlap_steps import benchmark_reject
from fleming_nemo.rods.curated.rejects import write_rejects
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.kg.table import MANIFEST, KnowledgeGraph
from fleming_nemo.rods.stages import alone
from fleming_nemo.rods.synth.mentions import read_mentions
from fleming_nemo.rods.synth.settings import ITEM_SHARES, Settings

SPARE = 0.01
"""More items than asked for, in place of those that the checks take out."""
_ROUNDS = 4
FINAL = tuple(f"items_{split}.jsonl" for split in SPLITS)
FINAL += ("review.jsonl", "rejects.jsonl", "funnel.json", "card.json", "card.md")


@dataclass(frozen=True)
class Wanted:
    """What the corpus is made from and checked with.

    Attributes:
        synthesis: its `items` are the items of the finished corpus.
        benchmarks: files of questions that must not be in it.
        curated: the curated files behind `synthesis.mentions`, for the card.
        compare: also draw a uniform corpus of the same size, to compare the coverage of rare entities with.
    """

    synthesis: Settings
    check: LabelCheck = field(default_factory=LabelCheck)
    benchmarks: tuple[Path, ...] = ()
    curated: tuple[Path, ...] = ()
    compare: bool = True


def build(wanted: Wanted, out: Path, workers: int = 1) -> dict[str, Any]:
    """Make the corpus in `out` and return its data card.

    Raises UserError for settings, files or an endpoint that the user must repair, and with the number of items
    available when graph and checks leave fewer than asked for. The same call goes on where it stopped.
    """
    if wanted.synthesis.items < len(SPLITS) or workers < 1:
        raise UserError("ask for at least 3 items and 1 worker.")
    decisions = read_decisions(wanted.check.decisions) if wanted.check.decisions else None
    with alone(out):
        (out / "manifest.json").unlink(missing_ok=True)
        return _write(wanted, _enough(wanted, decisions, out / "work", workers), out, workers)


def _enough(wanted: Wanted, decisions: dict[str, str] | None, work: Path, workers: int) -> Round:
    """Rounds of synthesis and checks until every split has its size."""
    sizes = wanted.synthesis.sizes()
    number = wanted.synthesis.items + math.ceil(SPARE * wanted.synthesis.items)
    for _ in range(_ROUNDS):
        found = _round(wanted, decisions, sizes, number, work, workers)
        left = Counter(i.split for n, i in enumerate(found.made.items) if n not in found.gone)
        short = {split: size - left[split] for split, size in sizes.items() if left[split] < size}
        if not short:
            return found
        number += math.ceil(1.2 * max(n / ITEM_SHARES[split] for split, n in short.items()))
    raise UserError(
        f"{wanted.synthesis.items} items were asked for, but the checks left {left.total()} of "
        f"{len(found.made.items)}; ask for fewer."
    )


def _round(
    wanted: Wanted, decisions: dict[str, str] | None, sizes: dict[str, int], number: int, work: Path, workers: int
) -> Round:
    check, settings = wanted.check, replace(wanted.synthesis, items=number)
    folder, funnel = synthesise(settings, work, workers)
    made = read_synthesised(folder)
    overlaps = find_overlaps(made.items, made.parts, wanted.benchmarks, work, workers)
    votes = gather_votes(check, made.items, made.parts, Path(settings.graph), settings.seed, work, workers)
    asked = [i for n, i in enumerate(made.items) if n not in overlaps.gone and i.id in votes]
    labels = check_labels(asked, votes, check.trials, decisions)
    kept = {i.id for i in labels.kept}
    review = {row["id"] for row in labels.review}
    by_label = {i.id: REVIEW if i.id in review else DROPPED for i in asked if i.id not in kept}
    gone = {n: by_label[i.id] for n, i in enumerate(made.items) if i.id in by_label} | overlaps.gone
    return Round(folder, funnel, made, overlaps, votes, labels, choose(made.items, gone, sizes))


def _write(wanted: Wanted, found: Round, out: Path, workers: int) -> dict[str, Any]:
    tiers, difficulty = find_tiers(wanted.check, found.made.items, found.votes)
    kept = [with_difficulty(i, tiers[n]) for n, i in enumerate(found.made.items) if n not in found.gone]
    difficulty["split"] = {tier: sum(i.difficulty == tier for i in kept) for tier in DIFFICULTIES}
    samples = sample_ids([i.id for i in kept], wanted.synthesis.seed)
    review = {row["id"]: row for row in found.labels.review}
    full = write_items(found, out, tiers, wanted.check.by, {*samples, *review})
    write_jsonl(out / "review.jsonl", [row | {"item": full.rows[i]} for i, row in review.items()])
    rejects = [benchmark_reject(row) for row in found.overlaps.bad_rows] + full.rejects
    write_rejects(out / "rejects.jsonl", rejects)
    steps = funnel_steps(found)
    accepted = Counter(i.split for i in kept)
    left = {split: accepted[split] for split in SPLITS}
    write_json(out / "funnel.json", {"accepted": left, "steps": steps, "synthesis": found.funnel})
    graph = Path(wanted.synthesis.graph)
    kg = KnowledgeGraph.load(graph)
    checks = found.overlaps.sections | {
        "proofs": proof_counts(found),
        "label_check": label_section(wanted.check, found),
        "difficulty": difficulty,
        "coverage": _coverage(wanted, found, kg, out / "work", workers),
        "settings": found.funnel["settings"] | {"items": len(kept)},
        "sources": graph_sources(kg),
    }
    table = {"file": "knowledge graph (nodes)", "sha256": sha256(graph / MANIFEST), "rows": len(kg), "kept": len(kg)}
    inputs: list[dict[str, Any]] = [table | {"reasons": {}}]
    inputs += [{"file": path.name, "sha256": sha256(path)} for path in wanted.curated]
    card = data_card(
        "training", wanted.synthesis.seed, kept, steps, inputs, checks, [full.rows[identity] for identity in samples]
    )
    card["files"] = {name: sha256(out / name) for name in FINAL[:-2]}
    write_json(out / "card.json", card)
    write_text(out / "card.md", markdown(card))
    counts = {"items": len(kept), "review": len(review), "rejects": len(rejects)}
    hashes = {name: sha256(out / name) for name in FINAL}
    write_json(
        out / "manifest.json", {"purpose": "training", "seed": wanted.synthesis.seed, **counts, "sha256": hashes}
    )
    return card


def _coverage(wanted: Wanted, found: Round, kg: KnowledgeGraph, work: Path, workers: int) -> dict[str, Any]:
    settings = wanted.synthesis
    mentions = read_mentions(Path(settings.mentions)) if settings.mentions else {}
    compare = wanted.compare and settings.sampler != "uniform"
    uniform = uniformly_asked(settings, work, workers) if compare else None
    asked = [path for n, path in enumerate(found.made.paths) if n not in found.gone]
    if wanted.curated:
        before = f"in {', '.join(p.name for p in wanted.curated)} (before)"
    elif settings.mentions:
        before = "in the table of mentions that was given (before)"
    else:
        before = "before; no curated data were given, so none were counted and every entity is rare"
    return covered(kg, mentions, asked, askable_entities(found.folder), uniform) | {"before": before}
