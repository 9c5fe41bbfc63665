#!/usr/bin/env python3
"""Write Qwen's tokenizer.json from a pinned package, where no model folder with one is at hand.

python data_prep/build_tokenizer.py --family qwen2.5 --out models/qwen2.5-tokenizer
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import reported
from fleming_nemo.data import qwen
from fleming_nemo.rods.sources import Pin, fetch

DASHSCOPE = Pin("dashscope", "2.0.2", "0602d1800f7433bdb7953560986eaf5146454ed3988636c0a91963ba24e74258")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=qwen.FAMILIES, default="qwen2.5", help="(default: %(default)s)")
    parser.add_argument("--wheel", type=Path, help="the wheel of dashscope 2.0.2 (default: downloaded, hash checked)")
    parser.add_argument("--out", type=Path, required=True, help="folder for tokenizer.json")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        print(qwen.write(args.wheel or fetch(DASHSCOPE), args.out, args.family))


if __name__ == "__main__":
    main()
