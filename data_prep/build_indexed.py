#!/usr/bin/env python3
"""Tokenise questions and their chains into a Megatron indexed dataset with a loss mask; blend or verify such datasets.

    python data_prep/build_indexed.py --items data/rods/items_sft.jsonl --chains data/rods/cot/cot.jsonl \
        --tokenizer models/Qwen2.5-7B-Instruct --pack 8192 --out data/sft_7b
    python data_prep/build_indexed.py --blend data/rods_en=0.7 data/rods_zh=0.3 --out data/sft_7b
    python data_prep/build_indexed.py --verify data/sft_7b

With --pack, training takes its samples (train.global_batch) in packs of that many tokens.  A build that was stopped
goes on with the same command.  Weights of a blend are shares of the samples; an epoch of it ends when the corpus that
needs the longest has been seen once.
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.config.schema import DataConfig
from fleming_nemo.data import corpus, tokenizer
from fleming_nemo.data.indexed import blend
from fleming_nemo.data.indexed.build import Recipe, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, help="JSONL file of questions (data_prep/build_rods.py)")
    parser.add_argument("--chains", type=Path, help="JSONL file of chains (data_prep/distill_cot.py)")
    parser.add_argument("--tokenizer", help="folder with a tokenizer.json, or nano")
    parser.add_argument("--out", type=Path, help="directory of the corpus (data.dir of a recipe)")
    parser.add_argument("--system-prompt", default="", help="system turn of every chat (default: none)")
    parser.add_argument(
        "--pack",
        type=int,
        default=0,
        metavar="TOKENS",
        help="store a packing plan; longer documents are left out and counted (default: none)",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one for each core)")
    parser.add_argument("--blend", nargs="+", metavar="DIR=WEIGHT", help="write a blend of corpora instead")
    parser.add_argument("--verify", type=Path, metavar="DIR", help="read a corpus and compare every byte instead")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        if args.verify:
            corpus.verify(args.verify)
            print(f"{args.verify} is as it was written")
        elif args.blend and args.out:
            blend.write(args.out, dict(_weighted(part) for part in args.blend))
            print(f"a blend of {len(args.blend)} corpora in {args.out}")
        elif args.items and args.chains and args.tokenizer and args.out:
            _build(args)
        else:
            parser.error("give --items, --chains, --tokenizer and --out; or --blend and --out; or --verify")


def _weighted(text: str) -> tuple[Path, float]:
    folder, _, weight = text.rpartition("=")
    try:
        return Path(folder), float(weight)
    except ValueError:
        raise UserError(f"--blend {text}: give every corpus a weight, as in data/rods_en=0.7") from None


def _build(args: argparse.Namespace) -> None:
    if args.pack < 0 or args.workers < 0:
        raise UserError("--pack and --workers are numbers from 0 on")
    chat = tokenizer.load(DataConfig(tokenizer=args.tokenizer))
    recipe = Recipe(args.items, args.chains, chat, args.system_prompt, args.pack)
    made = build(recipe, args.out, args.workers)
    print(f"{made['documents']} documents, {made['tokens']} tokens in {args.out}")
    for reason, count in made["rejected"].items():
        print(f"left out: {count} documents, {reason}")
    if made["pack"]:
        print(f"{made['pack']['packs']} packs of {args.pack} tokens, {made['pack']['fill']:.2%} full")


if __name__ == "__main__":
    main()
