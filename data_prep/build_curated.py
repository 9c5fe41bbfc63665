#!/usr/bin/env python3
"""Read curated question sets, filter, label and mix them, and write the corpus with its data card.

    python data_prep/build_curated.py --plan curated.yaml --out data/curated --workers 4

The plan says which sources, checks and shares (form: fleming_nemo/rods/curated/plan.py; `--list` names the known
sources). A killed run goes on where it stopped; the number of workers changes no byte. Keys of endpoints come from the
environment (OPENAI_API_KEY, or the plan's `key_env`).
"""

import argparse
import os
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.rods.curated.build import build
from fleming_nemo.rods.curated.mapping import builtin_mappings
from fleming_nemo.rods.curated.plan import read_plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=Path, help="YAML file")
    parser.add_argument(
        "--out", type=Path, default=Path("data/curated"), help="folder to write to (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="name the known sources and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        if args.list:
            for name, mapping in sorted(builtin_mappings().items()):
                print(f"{name:16} {mapping.language}  {mapping.title}: {mapping.hub or 'files only'}")
            return
        if args.plan is None:
            raise UserError("no plan; give --plan FILE, or --list to see the known sources.")
        if args.workers < 1:
            raise UserError(f"--workers {args.workers}: expected at least 1.")
        plan = read_plan(args.plan)
        card = build(plan, args.out, args.workers)
        print(f"{card['items']} items in {args.out}; see {args.out / 'card.md'}")


if __name__ == "__main__":
    main()
