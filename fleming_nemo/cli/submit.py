"""`fleming submit`: a recipe, a sweep of it, or a chain of recipes."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any

from fleming_nemo.config.errors import UserError

FOLDER = "runs/submitted"


def add(verbs: Any) -> None:
    """Register the verb with argparse's subparsers."""
    send = verbs.add_parser(
        "submit",
        help="send a recipe, a sweep or a chain to Slurm, or to a process of its own here",
        description="Send a recipe to Slurm, or to a process of its own on this machine. With --sweep: every "
        "combination of the values, as one job array, each in a directory of its own in run_dir. With --chain: several "
        "recipes, each from the weights of the one before, with data, mining and evaluation around them.",
    )
    send.add_argument("recipe", nargs="+", metavar="recipe", help="path of a recipe file; several with --chain")
    send.add_argument("overrides", nargs="*", metavar="key=value", help="options; with --chain also sft.optim.lr=2e-5")
    send.add_argument("--tiny", action="store_true", help="the recipe in small")
    send.add_argument("--sweep", action="append", default=[], metavar="KEY=VALUES", help="say seed=1..50, lr=1e-6,2e-6")
    send.add_argument("--at-most", type=int, default=0, metavar="N", help="points of a sweep that run at the same time")
    send.add_argument("--chain", action="store_true", help="several recipes, one after the other")
    send.add_argument("--nodes", type=int, default=1)
    send.add_argument("--cluster", default="slurm", help="slurm (default), local or debug")
    send.add_argument("--folder", default=FOLDER, help="where logs go; a shared file system on a cluster")
    send.add_argument("--slurm", action="append", default=[], metavar="KEY=VALUE", help="sbatch's, say partition=gpu")
    send.add_argument("--dry-run", action="store_true", help="print the batch script and stop")
    send.add_argument("--wait", action="store_true", help="wait for the end and print the result")
    send.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    """Submit what the command line says, and tell where it is."""
    recipes = [word for word in args.recipe if "=" not in word]
    overrides = [word for word in [*args.recipe, *args.overrides] if "=" in word]
    if args.chain and args.sweep:
        raise UserError("--chain and --sweep do not go together; sweep one stage at a time")
    if not recipes or (len(recipes) > 1 and not args.chain):
        raise UserError("give one recipe, or several with --chain")
    params = _slurm(args.slurm)
    where = {"overrides": overrides, "tiny": args.tiny, "nodes": args.nodes, "folder": args.folder}
    if args.dry_run:
        _dry_run(args, recipes, where | params)
        return
    where["cluster"] = args.cluster
    if args.chain:
        _chain(args, recipes, where | params)
    elif args.sweep:
        _sweep(args, recipes[0], where | params)
    else:
        _one(args, recipes[0], where | params)


def _one(args: argparse.Namespace, recipe: str, where: dict[str, Any]) -> None:
    from fleming_nemo.launch.send import submit

    sent = submit(recipe, **where)
    if sent.cluster == "none":
        print(f"{sent.run_dir} is finished; give another run_dir=... to run again")
    else:
        print(f"submitted job {sent.job_id}; run directory {sent.run_dir}, logs in {sent.folder}")
    if args.wait:
        print(sent.result())


def _sweep(args: argparse.Namespace, recipe: str, where: dict[str, Any]) -> None:
    from fleming_nemo.launch.sweep import parse, submit_sweep

    sent = submit_sweep(recipe, parse(args.sweep), at_most=args.at_most, **where)
    fresh = [point for point in sent.points if point.cluster != "none"]
    if not fresh:
        print(f"all {len(sent.points)} points of {sent.run_dir} are finished; give another run_dir=... to run again")
    else:
        done = f"; {len(sent.points) - len(fresh)} are finished already" if len(fresh) < len(sent.points) else ""
        ids = fresh[0].job_id if len(fresh) == 1 else f"{fresh[0].job_id} to {fresh[-1].job_id}"
        ids = fresh[0].job_id if fresh[0].job_id == fresh[-1].job_id else ids
        print(f"submitted {len(fresh)} points as job {ids}{done}; compare them with `fleming compare {sent.run_dir}`")
    if args.wait:
        sent.results()
        print(", ".join(f"{count} {state}" for state, count in sent.states.items()))


def _chain(args: argparse.Namespace, recipes: list[str], where: dict[str, Any]) -> None:
    from fleming_nemo.launch.pipeline import submit_chain

    sent = submit_chain(recipes, **where)
    for link in sent.links:
        said = "finished already" if link.cluster == "none" else f"job {link.job_id}"
        print(f"{link.name:20} {said:20} {link.run_dir}")
    if args.wait:
        print(sent.result())


def _dry_run(args: argparse.Namespace, recipes: list[str], where: dict[str, Any]) -> None:
    from fleming_nemo.launch import pipeline, sbatch, send, sweep

    if args.chain:
        scripts = pipeline.dry_run_chain(recipes, **where)
    elif args.sweep:
        scripts = {"": sweep.dry_run_sweep(recipes[0], sweep.parse(args.sweep), at_most=args.at_most, **where)}
    else:
        scripts = {"": send.dry_run(recipes[0], **where)}
    for name, text in scripts.items():
        print(f"# ==== {name}\n{text}" if name else text)
        if shutil.which("sbatch") and "afterok:" not in text:  # no job has the id that a later link waits for
            print(sbatch.check(text), file=sys.stderr)


def _slurm(texts: list[str]) -> dict[str, Any]:
    slurm = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(slurm) != len(texts):
        raise UserError("--slurm takes KEY=VALUE, for example --slurm partition=gpu")
    return {key: int(value) if value.isdigit() else value for key, value in slurm.items()}
