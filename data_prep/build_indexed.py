#!/usr/bin/env python3
"""Tokenise questions and their chains into a Megatron indexed dataset with a loss mask.

    python data_prep/build_indexed.py --items data/rods/items_sft.jsonl --chains data/rods/cot.jsonl \
        --tokenizer models/Qwen2.5-7B-Instruct --out data/rods
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.config.schema import DataConfig
from fleming_nemo.data import lessons, tokenizer
from fleming_nemo.data.items import read_items
from fleming_nemo.distill.graph_teacher import read_chains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="JSONL file of questions")
    parser.add_argument("--chains", type=Path, required=True, help="JSONL file of chains (data_prep/distill_cot.py)")
    parser.add_argument("--tokenizer", required=True, help="folder with a tokenizer.json, or nano")
    parser.add_argument("--out", type=Path, required=True, help="directory of the corpus (data.dir of a recipe)")
    parser.add_argument("--system-prompt", default="", help="system turn of every chat (default: none)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        items = {item.id: item for item in read_items(args.items)}
        chains = read_chains(args.chains)
        unknown = [chain.item_id for chain in chains if chain.item_id not in items]
        if unknown:
            raise UserError(f"{args.chains} has a chain for {unknown[0]}, which is not in {args.items}")
        taught = [(items[chain.item_id], chain.reasoning) for chain in chains]
        chat = tokenizer.load(DataConfig(tokenizer=args.tokenizer))
        settings = {"items": str(args.items), "chains": str(args.chains), "system_prompt": args.system_prompt}
        sources = lessons.count_sources([item for item, _ in taught])
        manifest = lessons.write(args.out, taught, chat, args.system_prompt, sources, settings)
        print(f"{manifest['documents']} documents, {manifest['tokens']} tokens in {args.out}")


if __name__ == "__main__":
    main()
