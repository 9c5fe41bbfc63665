"""`fleming status`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleming_nemo.launch.status import Status, directories, of
from fleming_nemo.launch.status_text import render

EVERY_S = 5.0


def add(verbs: Any) -> None:
    status = verbs.add_parser(
        "status", help="where runs stand: step, loss or reward, time left, attempts, why each ended"
    )
    status.add_argument("runs", nargs="+", metavar="RUN", help="run directories, or the directory of a demo")
    status.add_argument("--json", action="store_true", help="for machines: a list with one object a run")
    status.add_argument("--watch", action="store_true", help="again every few seconds, until all have ended")
    status.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    try:
        while True:
            found = [of(folder) for run in args.runs for folder in directories(Path(run))]
            if args.watch and sys.stdout.isatty():
                print("\033[H\033[J", end="")  # home, and clear the screen from there
            print(_text(found, args.json), flush=True)
            if not args.watch or not any(status.state in ("running", "queued") for status in found):
                return
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return


def _text(found: list[Status], as_json: bool) -> str:
    if as_json:
        return json.dumps([asdict(status) for status in found], indent=1)
    return "\n".join(map(render, found))
