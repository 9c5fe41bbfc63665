"""Chains of thought and the file they are kept in, cot.jsonl."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_jsonl


@dataclass(frozen=True, slots=True)
class Chain:
    """One line of cot.jsonl: the reasoning between the think tags, and the letter of the answer."""

    item_id: str
    reasoning: str
    letter: str
    style: str
    teacher: str
    verified: bool = True
    provenance: dict[str, Any] | None = None
    """How it was made: model, mode, rounds, verdicts. None for chains of the demo, which need no more than `style`."""


def row(chain: Chain) -> dict[str, Any]:
    """The chain as a line of cot.jsonl; no key for a provenance there is none of."""
    return {key: value for key, value in asdict(chain).items() if key != "provenance" or value is not None}


def save_chains(path: Path | str, chains: Iterable[Chain]) -> None:
    """Write cot.jsonl, whole or not at all."""
    write_jsonl(Path(path), map(row, chains))


def read_chains(path: Path | str) -> list[Chain]:
    """Read cot.jsonl; UserError with file and line for a row that is no chain."""
    chains = []
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; write it with data_prep/distill_cot.py") from error
    # Not splitlines(): JSON strings may hold U+2028 and its like, which that would cut at.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            chains.append(Chain(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}, line {number}: not a chain ({error}); write the file again") from error
    return chains
