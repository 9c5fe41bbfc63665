"""The `fleming` command: one module a verb, each a thin way into the package.

A verb's module has `add(verbs)`, which declares its arguments and names the function that acts on them (`act=` of
`set_defaults`).  What an action needs is imported inside it: `fleming status` and the others that work on a login node
start without torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fleming_nemo.cli import compare, doctor, drift_check, export, import_config, logs, plan, report, status, submit
from fleming_nemo.launch.main import exit_with, recipe_main
from fleming_nemo.launch.resolve import load_recipe

_VERBS = (submit, status, logs, compare, doctor, plan, drift_check, report, export, import_config)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    parser = argparse.ArgumentParser(prog="fleming", description="Fleming-R1 on Megatron-Core.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verbs.add_parser(
        "demo", add_help=False, help="the whole pipeline in small on this machine; see `fleming demo --help`"
    )
    run = verbs.add_parser("run", add_help=False, help="run a recipe file; see `fleming run RECIPE --help`")
    run.add_argument("recipe", help="path of a recipe file, for example recipes/sft_7b.py")
    for verb in _VERBS:
        verb.add(verbs)

    args, rest = parser.parse_known_args(argv)
    if "overrides" in args:  # argparse leaves over those that come after an option
        args.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in args.overrides]
    if rest and "act" in args:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    debug = ["--debug"] if args.debug else []
    if args.verb == "demo":
        recipe_main(lambda: load_recipe(_recipes() / "demo.py"), [*debug, *rest], prog="fleming demo")
    if args.verb == "run":
        recipe_main(lambda: load_recipe(args.recipe), [*debug, *rest], prog=f"fleming run {args.recipe}")
    exit_with(lambda: args.act(args), args.debug)


def _recipes() -> Path:
    """The recipes folder beside this package in a checkout."""
    return Path(__file__).resolve().parents[2] / "recipes"
