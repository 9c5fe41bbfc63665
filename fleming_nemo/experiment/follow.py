"""Loggers that repeat metrics.jsonl while a run writes it.

metrics.jsonl stays the one record: a thread reads its new lines and hands them on, and logged.json notes the last step
that each sink has had.  After a restart, the steps that are taken again, with the same numbers, are not sent twice;
what a killed process had not sent yet is sent by the next one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleming_nemo.data import files
from fleming_nemo.experiment.sinks import Numbers, Sink

PAUSE_S = 2.0
SENT = "logged.json"


@contextmanager
def follow(run_dir: Path, sinks: Sequence[Sink], pause_s: float = PAUSE_S) -> Iterator[None]:
    """Send what the run writes during the block, and once more at its end, however it ends."""
    if not sinks:
        yield
        return
    over = threading.Event()

    def loop() -> None:
        while not over.wait(pause_s):
            send(run_dir, sinks)

    thread = threading.Thread(target=loop, name="loggers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        send(run_dir, sinks)
        for sink in sinks:
            sink.close()


def send(run_dir: Path, sinks: Sequence[Sink]) -> None:
    """Hand on every whole line of metrics.jsonl that a sink has not had."""
    file = run_dir / "metrics.jsonl"
    if not file.exists():
        return
    sent = files.read_json(run_dir / SENT) if (run_dir / SENT).exists() else {}
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may still be written
    before = dict(sent)
    for row in map(json.loads, lines):
        for sink in sinks:
            if row["step"] > sent.get(sink.name, 0):
                sink.write(row["step"], numbers(row))
                sent[sink.name] = row["step"]
    if sent != before:
        files.write_json(run_dir / SENT, sent)


def numbers(row: dict[str, Any], prefix: str = "") -> Numbers:
    """The numbers of a row, those of its sections under `section.name`."""
    found: Numbers = {}
    for key, value in row.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)) and key != "step":
            found[prefix + key] = float(value)
    return found
