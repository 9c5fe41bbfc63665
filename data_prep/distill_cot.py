#!/usr/bin/env python3
"""Write verified chains of thought for the questions of a file: the cold start's training data.

    python data_prep/distill_cot.py --items data/rods/items_sft.jsonl --out data/cot
    python data_prep/distill_cot.py --items data/curated/items.jsonl --out data/cot-curated --teacher endpoint \
        --endpoint http://127.0.0.1:8000/v1 --model NAME --mode passk --k 4 --refine-rounds 3

The graph teacher puts the proofs of synthetic questions into words and needs no model. A model behind an endpoint is
either given the answer (rationalise) or not (passk), and refines what was refused. --out gets cot.jsonl,
rejected.jsonl, attempts.jsonl, funnel.json and card.json. A run that was stopped goes on when the same command is
given again. --shard K/N does one of N parts, on any node, and --join N makes one run of them, with the same bytes.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.distill.loop import Plan
from fleming_nemo.distill.preview import shown
from fleming_nemo.distill.run import Job, run
from fleming_nemo.distill.shards import Shard, join, run_shard
from fleming_nemo.endpoint import Budget, Endpoint, Key, options


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="JSONL file of questions")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--teacher", choices=("graph", "endpoint"), default="graph", help="default: %(default)s")
    parser.add_argument("--mode", choices=("rationalise", "passk"), default="rationalise", help="default: %(default)s")
    parser.add_argument("--k", type=int, default=4, help="drafts of passk (default: %(default)s)")
    text = "refinements of an item none of whose drafts is accepted (default: %(default)s)"
    parser.add_argument("--refine-rounds", type=int, default=3, metavar="N", help=text)
    text = "who judges faithfulness: the graph, the endpoint's model, or none (default: as the teacher)"
    parser.add_argument("--judge", choices=("graph", "endpoint", "none"), help=text)
    text = "server of a judge of its own (default: the teacher's); then --judge-model is needed"
    parser.add_argument("--judge-endpoint", metavar="URL", help=text)
    parser.add_argument("--judge-model", metavar="NAME", help="model that judges (default: the teacher's)")
    text = "environment variable with the judge's key (default: the teacher's, if it is the same server)"
    parser.add_argument("--judge-key-env", metavar="NAME", help=text)
    parser.add_argument("--max-tokens", type=int, default=4096, help="of one reply (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of styles and refinements (default: %(default)s)")
    parser.add_argument("--shard", metavar="K/N", help="only this part of the items, in OUT/shards")
    parser.add_argument("--join", type=int, metavar="N", help="make one run of N finished shards")
    parser.add_argument("--preview", type=int, metavar="N", help="show the first N items and write nothing")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options.add(parser)
    return parser


def main() -> None:
    args = parser().parse_args()
    with reported(args.debug):
        wanted = job(args)
        if args.preview is not None:
            for text in shown(wanted, args.preview):
                print(text)
            return
        if args.shard and args.join is not None:
            raise UserError("--shard makes a part and --join puts all together; give one of them.")
        shard = Shard.parse(args.shard) if args.shard else None
        card = run_shard(wanted, shard) if shard else run(wanted) if args.join is None else join(wanted, args.join)
        out = shard.folder(wanted.out) if shard else wanted.out
        print(f"{card['accepted']} chains of {card['items']} items in {out}, {card['rejected']} rejected")


def job(args: argparse.Namespace) -> Job:
    """Raises UserError for options that do not go together."""
    for name, least in (("k", 1), ("refine_rounds", 0), ("max_tokens", 1)):
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(args, name)}: expected {least} or more.")
    endpoint, budget = options.read(args) if args.teacher == "endpoint" else (None, Budget())
    if endpoint is None and (args.endpoint or args.model):
        raise UserError("--endpoint and --model are for --teacher endpoint; add that, or leave them out.")
    plan = Plan(args.mode, args.k, args.refine_rounds, args.seed)
    judge = _judge(args, endpoint)
    by = args.judge or args.teacher
    return Job(args.items, args.out, plan, by, endpoint, budget, args.max_tokens, judge)


def _judge(args: argparse.Namespace, teacher: Endpoint | None) -> Endpoint | None:
    """The judge's endpoint where it differs from the teacher's; rate, time limit and concurrency are the teacher's."""
    if not (args.judge_endpoint or args.judge_model or args.judge_key_env):
        return None
    if teacher is None:
        raise UserError("a judge's endpoint goes with --teacher endpoint; add that, or leave the judge's options out.")
    if not args.judge_model:
        raise UserError("--judge-endpoint and --judge-key-env need --judge-model NAME, the model that judges.")
    url = args.judge_endpoint or teacher.base_url
    # A key is for one server: another one never gets the teacher's.
    key = teacher.key if url == teacher.base_url else Key()
    if args.judge_key_env:
        if not os.environ.get(args.judge_key_env):
            raise UserError(f"environment variable {args.judge_key_env} is not set; put the judge's key into it.")
        key = Key.from_environment(args.judge_key_env)
    judge = replace(teacher, base_url=url, model=args.judge_model, key=key)
    return judge if url == teacher.base_url else replace(judge, price_in=0.0, price_out=0.0)


if __name__ == "__main__":
    main()
