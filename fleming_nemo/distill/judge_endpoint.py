"""Faithfulness judged by a model: it reads the reasoning without its conclusion, and answers from that alone."""

import re

from fleming_nemo.distill import prompts
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.judges import Judgement
from fleming_nemo.distill.reading.conclusion import without_conclusion
from fleming_nemo.endpoint import Client, NoAnswer, Request

_ANSWER = re.compile(r"<answer>\s*\(?([A-Z]|none)\)?[.。]?\s*</answer>", re.IGNORECASE)
_MAX_TOKENS = 2048


class EndpointJudge:
    def __init__(self, client: Client, model: str) -> None:
        self.client, self.by = client, f"endpoint:{model}"

    async def __call__(self, candidate: Candidate) -> Judgement:
        body = without_conclusion(candidate.reasoning, candidate.entities)
        text = prompts.filled("judge", candidate.item, reasoning=body)
        try:
            reply = await self.client.ask(Request(({"role": "user", "content": text},), 0.0, _MAX_TOKENS))
        except NoAnswer as failure:
            return Judgement(self.by, None, f"no judgement: {failure.kind}")
        said = _ANSWER.findall((reply.text or "").rpartition("</think>")[2])
        letter = said[-1].upper() if said and said[-1].lower() != "none" else None
        spent = reply.prompt_tokens, reply.completion_tokens
        if letter == candidate.item.letter:
            return Judgement(self.by, letter, None, *spent)
        why = "no judgement: the judge's reply holds no answer" if not said else "the reasoning alone leads elsewhere"
        return Judgement(self.by, letter, why if letter or not said else "the reasoning alone leads nowhere", *spent)
