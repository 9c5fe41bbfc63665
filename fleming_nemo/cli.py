"""The `fleming` command: one function a verb, each a thin way into the package."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json
from fleming_nemo.launch import slurm_env
from fleming_nemo.launch.main import exit_with, recipe_main
from fleming_nemo.launch.resolve import load_recipe, resolve
from fleming_nemo.launch.worker import quiet_on_cpu
from fleming_nemo.migrate import command


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

    send = verbs.add_parser("submit", help="send a recipe to Slurm, or to a process of its own here")
    send.add_argument("recipe", help="path of a recipe file")
    send.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    send.add_argument("--tiny", action="store_true", help="the recipe in small")
    send.add_argument("--nodes", type=int, default=1)
    send.add_argument("--cluster", default="slurm", help="slurm (default), local or debug")
    send.add_argument("--folder", default="runs/submitted", help="where logs go; a shared file system on a cluster")
    send.add_argument("--slurm", action="append", default=[], metavar="KEY=VALUE", help="sbatch's, say partition=gpu")
    send.add_argument("--wait", action="store_true", help="wait for the end and print the result")

    plan = verbs.add_parser("plan", help="memory, time and communication of a recipe before it runs; needs no GPU")
    plan.add_argument("recipe", help="path of a recipe file")
    plan.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    plan.add_argument("--gpus", type=int, required=True, metavar="N", help="GPUs of the whole run")
    plan.add_argument("--gpu", default="h100", metavar="NAME", help="kind of GPU; h100 if not given")
    plan.add_argument("--seq-length", type=int, metavar="N", help="longest sequence, for SFT recipes")
    plan.add_argument("--search", action="store_true", help="list the fastest layouts that fit")
    plan.add_argument("--json", action="store_true", help="for machines")

    drift = verbs.add_parser(
        "drift-check",
        help="take GRPO steps at learning rate 0: do rollout engine and trainer stay as close as they were?",
    )
    drift.add_argument("run", help="the directory of a GRPO run; its newest checkpoint is used")
    drift.add_argument("--steps", type=int, default=8, help="steps to take (default: %(default)s)")

    report = verbs.add_parser("report", help="write report.html for a run or demo directory")
    report.add_argument("run", help="the directory")

    command.add(verbs)

    export = verbs.add_parser(
        "export",
        help="write a run's checkpoint as a verified Hugging Face folder, or for Megatron-Bridge",
        description="One process holds the whole model. For a larger one start several, for example `torchrun "
        "--nproc-per-node 8 -m fleming_nemo.cli export RUN --tp 2`: they become 2 tensor-parallel ranks and 4 stages.",
    )
    export.add_argument("run", help="the run directory")
    export.add_argument("--step", type=int, help="step of the checkpoint; the newest without")
    export.add_argument("--out", help="the folder to make; RUN/export/step_N without")
    export.add_argument("--tp", type=int, default=1, help="tensor-parallel ranks of several processes")
    export.add_argument("--format", choices=("hf", "megatron"), default="hf", help="megatron: a torch_dist checkpoint")

    args, rest = parser.parse_known_args(argv)
    if args.verb in ("submit", "plan"):  # argparse leaves overrides over that come after an option
        args.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in args.overrides]
    if rest and args.verb in _ACTIONS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    debug = ["--debug"] if args.debug else []
    if args.verb == "demo":
        recipe_main(lambda: load_recipe(_recipes() / "demo.py"), [*debug, *rest], prog="fleming demo")
    if args.verb == "run":
        recipe_main(lambda: load_recipe(args.recipe), [*debug, *rest], prog=f"fleming run {args.recipe}")
    exit_with(lambda: _ACTIONS[args.verb](args), args.debug)


def _submit(args: argparse.Namespace) -> None:
    from fleming_nemo.launch.submit import submit

    slurm = dict(text.split("=", 1) for text in args.slurm if "=" in text)
    if len(slurm) != len(args.slurm):
        raise UserError("--slurm takes KEY=VALUE, for example --slurm partition=gpu")
    numbers = {k: int(v) if v.isdigit() else v for k, v in slurm.items()}
    sent = submit(args.recipe, args.nodes, args.overrides, args.tiny, args.cluster, args.folder, **numbers)
    print(f"submitted job {sent.job_id}; run directory {sent.run_dir}, logs in {args.folder}/{sent.job_id}")
    if args.wait:
        print(sent.result())


def _plan(args: argparse.Namespace) -> None:
    from fleming_nemo.planner import answer

    recipe, length = load_recipe(args.recipe), args.seq_length
    if args.search:  # for what the recipe need not list
        asked = [f"train.seq_length={length}", f"train.pack_tokens={length}"] if length else []
        cfg = resolve(recipe, [*asked, *args.overrides])
    else:
        cfg = resolve(recipe, args.overrides, gpus=args.gpus, seq_length=length)
    print(answer.answer(cfg, args.gpus, args.gpu, args.search, args.json))


def _report(args: argparse.Namespace) -> None:
    from fleming_nemo.report.html import write_report

    print(write_report(args.run))


def _drift_check(args: argparse.Namespace) -> None:
    from fleming_nemo.grpo.drift_check import config_of
    from fleming_nemo.launch.main import execute

    if args.steps < 2:
        raise UserError("--steps must be at least 2: a slope needs two halves")
    cfg = config_of(Path(args.run), args.steps)
    shutil.rmtree(cfg.run_dir, ignore_errors=True)  # of an earlier check
    result = execute(cfg)
    print(result["text"])
    if not result["flat"]:
        raise UserError(f"engine and trainer drift apart; every step is in {args.run}/drift_check/drift.json")


def _export(args: argparse.Namespace) -> None:
    if "RANK" not in os.environ and slurm_env.is_step_of_many(os.environ):
        os.environ |= slurm_env.from_slurm(os.environ)
    quiet_on_cpu()
    from fleming_nemo.training.export import RECORD, export

    folder, step = export(Path(args.run), Path(args.out) if args.out else None, args.step, args.tp, form=args.format)
    if os.environ["RANK"] == "0":
        print(f"wrote {folder}: step {step} of {args.run}")
        if warning := read_json(folder / RECORD)["warning"]:
            print(f"note: {warning}")


_ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "submit": _submit,
    "plan": _plan,
    "drift-check": _drift_check,
    "report": _report,
    "export": _export,
    command.VERB: command.act,
}


def _recipes() -> Path:
    """The recipes folder beside this package in a checkout."""
    return Path(__file__).resolve().parents[1] / "recipes"


if __name__ == "__main__":
    main()
