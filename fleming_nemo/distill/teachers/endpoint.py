"""Any model behind an OpenAI-compatible endpoint as a teacher."""

from fleming_nemo.data.items import QAItem
from fleming_nemo.distill import prompts
from fleming_nemo.distill.teachers import REFINEMENTS, Ask, Attempt
from fleming_nemo.endpoint import Client, NoAnswer, Reply, Request

TEMPERATURE = 1.0
"""Several trials have to differ, and reasoning models are tuned for it."""
_STOPPED = ("stop", "eos", "end_turn", "")


class EndpointTeacher:
    name = "endpoint"

    def __init__(self, client: Client, model: str, max_tokens: int) -> None:
        self.client, self.model, self.max_tokens = client, model, max_tokens

    async def reason(self, item: QAItem, ask: Ask) -> Attempt:
        try:
            reply = await self.client.ask(Request(_messages(item, ask), TEMPERATURE, self.max_tokens, ask.trial))
        except NoAnswer as failure:
            return Attempt(ask.mode, ask.round, ask.trial, "", False, fault=failure.kind)
        fault = f"refused: {reply.finish}" if reply.text is None else None
        spent = reply.prompt_tokens, reply.completion_tokens
        finished = reply.finish in _STOPPED
        return Attempt(ask.mode, ask.round, ask.trial, _turn(reply), finished, "", fault, *spent)


def _messages(item: QAItem, ask: Ask) -> tuple[dict[str, str], ...]:
    """The draft's question; for a refinement also the attempt and what is wrong with it."""
    letter = {"letter": item.letter} if ask.told else {}
    draft = prompts.filled("rationalise" if ask.told else "solve", item, **letter)
    first = {"role": "user", "content": draft}
    if ask.mode not in REFINEMENTS or ask.previous is None:
        return (first,)
    fault = prompts.FAULTS[prompts.language(item)][ask.objection]
    second = {"role": "user", "content": prompts.filled(ask.mode, item, fault=fault)}
    return first, {"role": "assistant", "content": ask.previous.text}, second


def _turn(reply: Reply) -> str:
    """The assistant's turn. Servers that split reasoning off get it put back, unless the text has some of its own."""
    text = (reply.text or "").strip()
    if reply.reasoning and "<think>" not in text:
        text = f"<think>\n{reply.reasoning.strip()}\n</think>\n\n{text}"
    # A lone surrogate is legal in JSON and cannot be written to a file.
    return text.encode("utf-8", "replace").decode("utf-8")
