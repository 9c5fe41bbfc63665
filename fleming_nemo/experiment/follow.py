"""Loggers that repeat metrics.jsonl while a run writes it.

metrics.jsonl stays the one record: a thread reads its new lines and hands them on, and logged.json notes the last step
that each sink has had.  After a restart, the steps that are taken again, with the same numbers, are not sent twice;
what a killed process had not sent yet is sent by the next one.  A logger that cannot be reached stops no run: its rows
are sent when it answers again, and a run that ends before says so.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.experiment.sinks import Numbers, Sink

PAUSE_S = 2.0
SENT = "logged.json"


@contextmanager
def follow(run_dir: Path, sinks: Sequence[Sink], pause_s: float = PAUSE_S) -> Iterator[None]:
    """Send what the run writes during the block, and once more at its end, however it ends.

    Raises:
        UserError: at the end of a block that went well, if a sink has not had every row.
    """
    if not sinks:
        yield
        return
    over = threading.Event()
    told: set[str] = set()

    def loop() -> None:
        while not over.wait(pause_s):
            for name, error in send(run_dir, sinks).items():
                if name not in told:
                    print(f"note: {name} takes no rows for now ({error})", file=sys.stderr)
                told.add(name)

    thread = threading.Thread(target=loop, name="loggers", daemon=True)
    thread.start()
    finished = False
    try:
        yield
        finished = True
    finally:
        over.set()
        thread.join()
        lost = _end(run_dir, sinks, finished)
        for name, error in () if finished else lost.items():
            print(f"note: {name} has not had every row ({error}); the next start sends them", file=sys.stderr)
    for name, error in lost.items():
        raise UserError(
            f"the run is complete, but {name} has not had every row ({error}); the same command with "
            "exp_manager.resume_if_exists=true and exp_manager.resume_past_end=true sends the rest"
        )


def send(run_dir: Path, sinks: Sequence[Sink]) -> dict[str, Exception]:
    """Hand on every whole line of metrics.jsonl that a sink has not had.

    Returns:
        What went wrong, by the name of the sink; its rows come again with the next call.
    """
    file = run_dir / "metrics.jsonl"
    if not file.exists():
        return {}
    sent = files.read_json(run_dir / SENT) if (run_dir / SENT).exists() else {}
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may still be written
    rows = [json.loads(line) for line in lines]
    before = dict(sent)
    wrong: dict[str, Exception] = {}
    for sink in sinks:
        try:
            for row in rows:
                if row["step"] > sent.get(sink.name, 0):
                    sink.write(row["step"], numbers(row))
                    sent[sink.name] = row["step"]
        except Exception as error:  # of any kind: the libraries have no common one
            wrong[sink.name] = error
    if sent != before:
        files.write_json(run_dir / SENT, sent)
    return wrong


def _end(run_dir: Path, sinks: Sequence[Sink], finished: bool) -> dict[str, Exception]:
    """The last rows; what went wrong, by the name of the sink."""
    wrong = send(run_dir, sinks)
    for sink in sinks:
        try:
            sink.close(finished)
        except Exception as error:  # as above
            wrong.setdefault(sink.name, error)
    return wrong


def numbers(row: dict[str, Any], prefix: str = "") -> Numbers:
    """The numbers of a row, those of its sections under `section.name`."""
    found: Numbers = {}
    for key, value in row.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)) and key != "step":
            found[prefix + key] = float(value)
    return found
