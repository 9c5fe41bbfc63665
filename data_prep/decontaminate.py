#!/usr/bin/env python3
"""Take the copies of benchmark questions out of a file of items.

    python data_prep/decontaminate.py --items corpus.jsonl --against benchmarks/ --out clean.jsonl --workers 4

Items and benchmarks are JSON Lines with `question` and `options` (list of strings), and `context` where there is one.
Beside the clean file: what was removed and why, rows that cannot be read, and hits per benchmark.
"""

import argparse
import os
from pathlib import Path

from fleming_nemo.config.errors import reported
from fleming_nemo.rods.overlap.files import decontaminate_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="JSONL or JSONL.gz file to clean")
    parser.add_argument(
        "--against", type=Path, nargs="+", required=True, help="benchmark files, or folders with *.jsonl and *.jsonl.gz"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSONL file for the items that stay")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        counts = decontaminate_file(args.items, args.against, args.out, args.workers)
        for name, hits in counts["benchmarks"].items():
            rules = ", ".join(f"{rule} {count}" for rule, count in hits["rules"].items())
            print(f"{name}: {hits['items']} items hit ({hits['questions']} questions){': ' + rules if rules else ''}")
        print(f"{counts['items'] - counts['removed']} of {counts['items']} items stay in {args.out}")
        if counts["rejects"]:
            print(f"{counts['rejects']} rows cannot be read; see {args.out.name.removesuffix('.jsonl')}.rejects.jsonl")


if __name__ == "__main__":
    main()
