"""Prompts to the model of a plan: one text back for each, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fleming_nemo.endpoint import Client, EndpointForm, NoAnswer, Panel, Request, serve


def ask_texts(
    form: EndpointForm, prompts: Iterable[tuple[str, int]], folder: Path, panel: Panel
) -> Iterator[str | None]:
    """The reply to each (prompt, trial); None where the model refused or gave no answer, which the panel counts.

    Answers stay in `folder`. Raises UserError as `endpoint.serve` does.
    """

    async def one(client: Client, asked: tuple[str, int]) -> tuple[str | None, str]:
        prompt, trial = asked
        message = {"role": "user", "content": prompt}
        try:
            reply = await client.ask(Request((message,), form.temperature, form.max_tokens, trial))
        except NoAnswer as failure:
            return None, failure.kind
        return reply.text, "refused"

    with panel:
        for text, reason in serve(form.endpoint(), folder, form.budget(), prompts, one, panel):
            if text is None:
                panel.rejected(reason)
            else:
                panel.accepted()
            yield text
