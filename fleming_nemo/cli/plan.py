"""`fleming plan`."""

from __future__ import annotations

import argparse
from typing import Any

from fleming_nemo.launch.resolve import load_recipe, resolve


def add(verbs: Any) -> None:
    plan = verbs.add_parser("plan", help="memory, time and communication of a recipe before it runs; needs no GPU")
    plan.add_argument("recipe", help="path of a recipe file")
    plan.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    plan.add_argument("--gpus", type=int, required=True, metavar="N", help="GPUs of the whole run")
    plan.add_argument("--gpu", default="h100", metavar="NAME", help="kind of GPU; h100 if not given")
    plan.add_argument("--seq-length", type=int, metavar="N", help="longest sequence, for SFT recipes")
    plan.add_argument("--search", action="store_true", help="list the fastest layouts that fit")
    plan.add_argument("--json", action="store_true", help="for machines")
    plan.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    from fleming_nemo.planner import answer

    recipe, length = load_recipe(args.recipe), args.seq_length
    if args.search:  # for what the recipe need not list
        asked = [f"train.seq_length={length}", f"train.pack_tokens={length}"] if length else []
        cfg = resolve(recipe, [*asked, *args.overrides])
    else:
        cfg = resolve(recipe, args.overrides, gpus=args.gpus, seq_length=length)
    print(answer.answer(cfg, args.gpus, args.gpu, args.search, args.json))
