"""`fleming report`."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    report = verbs.add_parser("report", help="write report.html for a run or demo directory")
    report.add_argument("run", help="the directory")
    report.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    from fleming_nemo.report.html import write_report

    print(write_report(args.run))
