"""The first items as text: what would be asked, what comes back, and the verdict. Nothing is kept."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fleming_nemo.data.items import QAItem
from fleming_nemo.distill import prompts
from fleming_nemo.distill.loop import Examined
from fleming_nemo.distill.run import Job, Tried, checked_items, judging, offline_work, one_item
from fleming_nemo.endpoint import Client, preview


def shown(job: Job, number: int) -> Iterator[str]:
    """One text an item. Calls to an endpoint are made, and paid for, but stand in a folder that is thrown away."""
    items = checked_items(job)[:number]
    if job.endpoint is None:
        for index, (item, tried) in enumerate(offline_work(job, items), 1):
            texts = [prompts.question(item), *(f"--- reply ({one.attempt.style})\n{one.attempt.text}" for one in tried)]
            yield "\n".join([f"=== item {index}", *texts, "--- outcome", _outcome((item, tried)), ""])
        return

    with tempfile.TemporaryDirectory() as folder, judging(job, Path(folder) / "judgements") as judge:
        aside = replace(job, out=Path(folder))

        async def one(client: Client, item: QAItem) -> Tried:
            return await one_item(job, client, judge)(item)

        yield from preview(job.endpoint, aside.out / "replies", job.budget, items, one, number, _outcome)


def _outcome(result: Tried) -> str:
    item, tried = result
    return "\n".join([f"item {item.id}, answer {item.letter}", *map(_line, tried)])


def _line(one: Examined) -> str:
    if one.accepted:
        verdict = "accepted"
    else:
        verdict = f"stopped by {one.filter}: {one.reason}" if one.filter else "right, not chosen"
    judged = f", faithfulness judged by {one.judgement.by}" if one.judgement else ""
    return f"{one.attempt.mode}, round {one.attempt.round}, trial {one.attempt.trial}: {verdict}{judged}"
