"""What a strong model answered to each item: asked now, recorded earlier, or taken from a ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import LETTERS, QAItem
from fleming_nemo.endpoint import EndpointForm, Panel
from fleming_nemo.rods.curated.asking import ask_texts

_ANSWER = re.compile(r"<answer>\s*\(?([A-Z])\)?[.。]?\s*</answer>")
_ENGLISH = (
    "Answer this medical exam question. Think first, then end with the letter of the one best option as "
    "<answer>X</answer>."
)
_CHINESE = "请回答下面的医学考题。先思考，最后以 <answer>X</answer> 的形式给出唯一最佳选项的字母。"


@dataclass(frozen=True)
class Votes:
    """Trials of one item. `answers` holds a letter, "unparsable" or "refused" each; empty where only counts exist."""

    trials: int
    correct: int
    answers: tuple[str, ...] = ()


def exam_prompt(item: QAItem) -> str:
    """The item as a strong model sees it: no label, no source."""
    context = f"\n\n{item.context}" if item.context else ""
    options = "".join(f"\n{letter}) {text}" for letter, text in zip(LETTERS, item.options, strict=False))
    return f"{_CHINESE if item.language == 'zh' else _ENGLISH}{context}\n\n{item.question}{options}"


def parse_letter(text: str | None, num_options: int) -> str:
    """The one letter that the reply commits to; "unparsable" for none or two, "refused" for no reply."""
    if text is None:
        return "refused"
    said = set(_ANSWER.findall(text.rpartition("</think>")[2]))
    letter = said.pop() if len(said) == 1 else ""
    return letter if letter and letter in LETTERS[:num_options] else "unparsable"


def ask_votes(
    items: Sequence[QAItem], endpoint: EndpointForm, trials: int, folder: Path
) -> tuple[dict[str, Votes], int]:
    """Votes by item id, and how many calls they took; answers stay in `folder`. Raises UserError as `serve` does."""
    items = [item for item in items if item.options]  # whether an open answer is right is no matter of a letter
    panel = Panel("label check", len(items) * trials)
    texts = ask_texts(endpoint, ((exam_prompt(item), t) for item in items for t in range(trials)), folder, panel)
    votes = {}
    for item in items:
        letters = tuple(parse_letter(text, len(item.options)) for text in islice(texts, trials))
        votes[item.id] = Votes(trials, letters.count(item.letter), letters)
    list(texts)  # to its end, so that the cache is closed
    return votes, panel.tally.calls


def recorded_votes(path: Path, items: Sequence[QAItem]) -> dict[str, Votes]:
    """Votes from a JSON Lines file, for a machine without an endpoint.

    Each line is a recorded row {id, answers: ["B", null, ...]} or a row of the ledger {item_id, policy, round,
    rollouts, correct, ...}; rows of the same item add up. Items that the file does not name get no votes.
    Raises UserError with file, line and field.
    """
    by_id = {item.id: item for item in items}
    votes: dict[str, Votes] = {}
    for number, row in json_rows(path):
        at = f"{path}, line {number}"
        if "answers" in row and "id" in row:
            found = _from_answers(row, by_id, at)
        elif "item_id" in row and "rollouts" in row and "correct" in row:
            found = Votes(*ledger_counts(row, at))
        else:
            raise UserError(f"{at}: expected {{id, answers}} or a ledger row {{item_id, rollouts, correct}}.")
        identity = str(row["id"] if "answers" in row else row["item_id"])
        before = votes.get(identity, Votes(0, 0))
        votes[identity] = Votes(
            before.trials + found.trials, before.correct + found.correct, before.answers + found.answers
        )
    return {identity: v for identity, v in votes.items() if identity in by_id}


def _from_answers(row: dict[str, Any], by_id: dict[str, QAItem], at: str) -> Votes:
    answers = row["answers"]
    if not isinstance(answers, list) or not all(a is None or isinstance(a, str) for a in answers):
        raise UserError(f"{at}, field answers: expected a list of letters or null.")
    item = by_id.get(str(row["id"]))
    letters = tuple(a if a is not None and a in LETTERS and len(a) == 1 else "unparsable" for a in answers)
    return Votes(len(letters), letters.count(item.letter) if item and item.options else 0, letters)


def ledger_counts(row: dict[str, Any], at: str) -> tuple[int, int]:
    """(rollouts, correct) of a ledger row; UserError when they are no counts."""
    rollouts, correct = row["rollouts"], row["correct"]
    if type(rollouts) is not int or type(correct) is not int or not 0 <= correct <= rollouts or rollouts < 1:
        raise UserError(f"{at}, fields rollouts and correct: found {rollouts!r} and {correct!r}, expected counts.")
    return rollouts, correct


def json_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """(number, row) of a JSON Lines file, or of a JSON list such as mined.json. UserError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    try:
        if text.lstrip().startswith("["):
            rows = list(enumerate(json.loads(text), 1))
        else:
            rows = [(n, json.loads(line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    except ValueError as error:
        raise UserError(f"{path}: not JSON Lines ({error}).") from error
    for number, row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected an object, found {type(row).__name__}.")
    return rows
