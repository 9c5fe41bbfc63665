"""`fleming doctor`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any


def add(verbs: Any) -> None:
    doctor = verbs.add_parser(
        "doctor",
        help="check this machine: GPUs, disks, what is installed, and what a recipe would miss",
        description="The exit code is 0 unless something is wrong, or missing that the given recipe needs.",
    )
    doctor.add_argument("recipe", nargs="?", help="path of a recipe file that is to run here")
    doctor.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    doctor.add_argument("--tiny", action="store_true", help="the recipe in small")
    doctor.add_argument("--json", action="store_true", help="for machines: a list with one object a line")
    doctor.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    from fleming_nemo.config.schema import DemoConfig
    from fleming_nemo.launch.doctor import examine, refuse_wrong
    from fleming_nemo.launch.resolve import load_recipe, resolve
    from fleming_nemo.launch.stages import chain

    cfg = resolve(load_recipe(args.recipe), args.overrides, args.tiny) if args.recipe else None
    if isinstance(cfg, DemoConfig):
        cfg = chain(cfg)["sft"]  # the stages differ in nothing that is looked at
    found = examine(cfg)
    print(json.dumps([asdict(row) for row in found], indent=1) if args.json else "\n".join(row.line() for row in found))
    refuse_wrong(found, args.recipe or "a run")
