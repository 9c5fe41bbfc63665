"""`fleming drift-check`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError


def add(verbs: Any) -> None:
    drift = verbs.add_parser(
        "drift-check",
        help="take GRPO steps at learning rate 0: do rollout engine and trainer stay as close as they were?",
    )
    drift.add_argument("run", help="the directory of a GRPO run; its newest checkpoint is used")
    drift.add_argument("--steps", type=int, default=8, help="steps to take (default: %(default)s)")
    drift.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
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
