"""`fleming logs`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from fleming_nemo.launch import markers
from fleming_nemo.launch.logs import log_file

EVERY_S = 0.5


def add(verbs: Any) -> None:
    logs = verbs.add_parser("logs", help="what a rank of a run has written")
    logs.add_argument("run", help="the run directory")
    logs.add_argument("--rank", type=int, default=0, metavar="N", help="0 if not given")
    logs.add_argument("--attempt", type=int, metavar="K", help="the newest if not given")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as the log grows, into later attempts too")
    logs.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    run, shown = Path(args.run), log_file(Path(args.run), args.rank, args.attempt)
    file = open(shown, encoding="utf-8", errors="replace")  # noqa: SIM115 (followed beyond its end)
    try:
        while True:
            _copy(file)
            if not args.follow:
                return
            finished = markers.read_done(run) is not None
            newest = log_file(run, args.rank, args.attempt)
            if newest != shown:
                print(f"--- {newest}", flush=True)
                file.close()
                shown, file = newest, open(newest, encoding="utf-8", errors="replace")  # noqa: SIM115
            elif finished:
                _copy(file)
                return
            else:
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return
    finally:
        file.close()


def _copy(file: Any) -> None:
    while piece := file.read(1 << 16):
        sys.stdout.write(piece)
    sys.stdout.flush()
