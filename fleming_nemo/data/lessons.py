"""Questions with the reasoning that the assistant is to learn, rendered and written as an indexed corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.data import corpus
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer

Lessons = Sequence[tuple[QAItem, str]]
"""(question, text between the think tags) pairs."""


def render(lessons: Lessons, system_prompt: str) -> tuple[list[str], list[str]]:
    """Prompts and responses, in order; the response ends with the right letter of its question."""
    prompts = [render_prompt(item, system_prompt) for item, _ in lessons]
    return prompts, [render_response(reasoning, item.letter) for item, reasoning in lessons]


def write(
    folder: Path,
    lessons: Lessons,
    chat: ChatTokenizer,
    system_prompt: str,
    sources: dict[str, Any],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Tokenise and write the corpus, with the loss on the assistant's tokens only; returns the manifest."""
    encoded = (chat.encode_batch(texts) for texts in render(lessons, system_prompt))
    pairs = zip(*encoded, strict=True)
    documents = ((prompt + response, [0] * len(prompt) + [1] * len(response)) for prompt, response in pairs)
    return corpus.write(folder, documents, chat, sources, settings)


def count_sources(items: Sequence[QAItem]) -> dict[str, Any]:
    """Items and licence of each source, as the manifest has them."""
    counts: dict[str, Any] = {}
    for item in items:
        entry = counts.setdefault(item.source, {"items": 0, "licence": item.provenance.get("licence", "not stated")})
        entry["items"] += 1
    return counts
