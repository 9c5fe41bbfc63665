"""A stretch of chains, joined with their items, rendered, tokenised and saved as a part: the work of one process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.indexed.encode import Encoder
from fleming_nemo.data.indexed.format import token_dtype
from fleming_nemo.data.indexed.join import Inputs, Stretch, finder
from fleming_nemo.data.indexed.part import Part, is_whole
from fleming_nemo.data.items import QAItem, parse_item
from fleming_nemo.data.tokenizer import ChatTokenizer


@dataclass(frozen=True)
class Rendering:
    """What the documents depend on besides the two input files."""

    tokenizer: Path
    system_prompt: str = ""
    longest: int = 0
    """Tokens; longer documents are left out and counted.  0: none is."""


def part_file(work: Path, number: int) -> Path:
    return work / f"{number:06}.part"


def maker(inputs: Inputs, rendering: Rendering, work: Path) -> Callable[[Stretch], int]:
    """The job that makes parts in `work`; returns their numbers."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a text at a time has no use for threads
    chat = ChatTokenizer(rendering.tokenizer)
    return partial(_make, inputs, rendering, work, Encoder(chat, token_dtype(chat.size)))


def _make(inputs: Inputs, rendering: Rendering, work: Path, encode: Encoder, stretch: Stretch) -> int:
    file = part_file(work, stretch.number)
    if is_whole(file):
        return stretch.number
    part = Part()
    sources: dict[str, Any] = {}
    teachers: dict[str, int] = {}
    rejected: dict[str, int] = {}
    with open(inputs.chains, "rb") as chains, open(inputs.items, "rb") as items:
        chains.seek(stretch.offset)
        item_of = finder(inputs, stretch, items)
        for line in range(stretch.line, stretch.line + stretch.count):
            chain = _chain(chains.readline(), inputs.chains, line)
            try:
                text, number = item_of(chain["item_id"])
            except KeyError:
                raise UserError(
                    f"{inputs.chains}, line {line}: a chain for {chain['item_id']}, which is not in {inputs.items}; "
                    "distill the chains of this items file again"
                ) from None
            item = parse_item(text, inputs.items, number)
            if reason := _unusable(item, chain, f"{inputs.chains}, line {line}"):
                rejected[reason] = rejected.get(reason, 0) + 1
                continue
            # apart, so that the mask is exact whatever a tokenizer would merge, and as a rollout sees the prompt
            prompt = encode(render_prompt(item, rendering.system_prompt))
            response = encode(render_response(chain["reasoning"], item.letter))
            mask = bytes(len(prompt) // encode.itemsize) + b"\1" * (len(response) // encode.itemsize)
            if 0 < rendering.longest < len(mask):
                reason = f"longer than {rendering.longest} tokens"
                rejected[reason] = rejected.get(reason, 0) + 1
                continue
            part.add(prompt + response, mask)
            licence = item.provenance.get("licence", "not stated")
            sources.setdefault(item.source, {"items": 0, "licence": licence})["items"] += 1
            teacher = chain.get("teacher", "not stated")
            teachers[teacher] = teachers.get(teacher, 0) + 1
    part.stored({"sources": sources, "teachers": teachers, "rejected": rejected}).save(file)
    return stretch.number


def _chain(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: not JSON ({error}); write the file again") from error
    for name in ("item_id", "reasoning"):
        if not isinstance(row, dict) or not isinstance(row.get(name), str):
            raise UserError(f"{path}, line {number}: not a chain (no text under {name}); write the file again")
    return row


def _unusable(item: QAItem, chain: dict[str, Any], where: str) -> str:
    """Why this chain teaches nothing, if so; a UserError where chain and item do not belong together."""
    if not item.options:
        return "an open-ended question, whose answer has no letter"
    if not chain.get("verified", True):
        return "not verified"
    if not chain["reasoning"].strip():
        return "no reasoning"
    if chain.get("letter", item.letter) != item.letter:
        raise UserError(
            f"{where}: its answer is {chain['letter']} and that of item {item.id} is {item.letter}; the chains are of "
            "another items file, distill them again"
        )
    return ""
