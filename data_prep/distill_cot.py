#!/usr/bin/env python3
"""Write a verified chain of thought for every item of a file.

    python data_prep/distill_cot.py --items data/rods/items_sft.jsonl --out data/rods/cot.jsonl

The only teacher so far is the offline one that reads its reasoning off the graph ("graph-offline").
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import reported
from fleming_nemo.data.items import read_items
from fleming_nemo.distill.graph_teacher import SHALLOW_SHARE, save_chains, write_chains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="JSONL file of questions")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of chains to write")
    parser.add_argument("--seed", type=int, default=1, help="seed of the styles (default: %(default)s)")
    for tier, share in SHALLOW_SHARE.items():
        text = f"share of {tier} chains without the reasoning that supports the answer (default: %(default)s)"
        parser.add_argument(f"--shallow-{tier}", type=float, default=share, metavar="SHARE", help=text)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    shares = {tier: getattr(args, f"shallow_{tier}") for tier in SHALLOW_SHARE}
    with reported(args.debug):
        chains = write_chains(read_items(args.items), args.seed, shares)
        save_chains(args.out, chains)
        print(f"{len(chains)} chains in {args.out}")


if __name__ == "__main__":
    main()
