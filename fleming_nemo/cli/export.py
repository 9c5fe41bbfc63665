"""`fleming export`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import read_json
from fleming_nemo.launch import slurm_env
from fleming_nemo.launch.worker import quiet_on_cpu


def add(verbs: Any) -> None:
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
    export.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    if "RANK" not in os.environ and slurm_env.is_step_of_many(os.environ):
        os.environ |= slurm_env.from_slurm(os.environ)
    quiet_on_cpu()
    from fleming_nemo.training.export import RECORD, export

    folder, step = export(Path(args.run), Path(args.out) if args.out else None, args.step, args.tp, form=args.format)
    if os.environ["RANK"] == "0":
        print(f"wrote {folder}: step {step} of {args.run}")
        if warning := read_json(folder / RECORD)["warning"]:
            print(f"note: {warning}")
