"""`fleming submit`."""

from __future__ import annotations

import argparse
from typing import Any

from fleming_nemo.config.errors import UserError


def add(verbs: Any) -> None:
    send = verbs.add_parser("submit", help="send a recipe to Slurm, or to a process of its own here")
    send.add_argument("recipe", help="path of a recipe file")
    send.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    send.add_argument("--tiny", action="store_true", help="the recipe in small")
    send.add_argument("--nodes", type=int, default=1)
    send.add_argument("--cluster", default="slurm", help="slurm (default), local or debug")
    send.add_argument("--folder", default="runs/submitted", help="where logs go; a shared file system on a cluster")
    send.add_argument("--slurm", action="append", default=[], metavar="KEY=VALUE", help="sbatch's, say partition=gpu")
    send.add_argument("--wait", action="store_true", help="wait for the end and print the result")
    send.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    from fleming_nemo.launch.submit import submit

    slurm = dict(text.split("=", 1) for text in args.slurm if "=" in text)
    if len(slurm) != len(args.slurm):
        raise UserError("--slurm takes KEY=VALUE, for example --slurm partition=gpu")
    numbers = {k: int(v) if v.isdigit() else v for k, v in slurm.items()}
    sent = submit(args.recipe, args.nodes, args.overrides, args.tiny, args.cluster, args.folder, **numbers)
    print(f"submitted job {sent.job_id}; run directory {sent.run_dir}, logs in {args.folder}/{sent.job_id}")
    if args.wait:
        print(sent.result())
