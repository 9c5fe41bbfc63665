"""Ask questions, sample responses, judge them: the one path that training, mining and evaluation share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.reward.verify import Outcome, Verdict, verify
from fleming_nemo.rollout.types import Request, Rollout, RolloutEngine


@dataclass(frozen=True)
class Episode:
    """One judged response to one question."""

    item: QAItem
    prompt: tuple[int, ...]
    rollout: Rollout
    text: str
    verdict: Verdict

    @property
    def correct(self) -> bool:
        return self.verdict.outcome is Outcome.CORRECT

    def record(self) -> dict[str, Any]:
        """The row that rollout and evaluation files hold."""
        return {
            "item_id": self.item.id,
            "question": self.item.question,
            "options": list(self.item.options),
            "letter": self.item.letter,
            "difficulty": self.item.difficulty,
            "response": self.text,
            "outcome": str(self.verdict.outcome),
            "length": len(self.rollout.tokens),
        }


class Examiner:
    """Plays episodes with one engine, tokenizer and system prompt."""

    def __init__(self, engine: RolloutEngine, chat: ChatTokenizer, system_prompt: str, max_response: int) -> None:
        self.engine = engine
        self.chat = chat
        self.system_prompt = system_prompt
        self.max_response = max_response

    def prompt(self, item: QAItem) -> tuple[int, ...]:
        """Token ids of the chat up to where the policy begins to write."""
        return tuple(self.chat.encode(render_prompt(item, self.system_prompt)))

    def prompt_length(self, item: QAItem) -> int:
        """Tokens of `prompt`."""
        return len(self.prompt(item))

    def judge(self, item: QAItem, rollouts: Sequence[Rollout]) -> list[Episode]:
        """Episodes of rollouts that are there already."""
        prompt = self.prompt(item)
        return [self._judge(item, prompt, rollout) for rollout in rollouts]

    def play(
        self, asked: Sequence[tuple[QAItem, Sequence[int]]], temperature: float, weight_version: int
    ) -> list[list[Episode]]:
        """For each (question, seeds) one episode a seed, in order."""
        prompts = [self.prompt(item) for item, _ in asked]
        requests = [Request(prompt, seed) for prompt, (_, seeds) in zip(prompts, asked, strict=True) for seed in seeds]
        rollouts = iter(self.engine.generate(requests, temperature, self.max_response, weight_version))
        return [
            [self._judge(item, prompt, next(rollouts)) for _ in seeds]
            for prompt, (item, seeds) in zip(prompts, asked, strict=True)
        ]

    def _judge(self, item: QAItem, prompt: tuple[int, ...], rollout: Rollout) -> Episode:
        # the end-of-turn token is not part of the text; the end of a document in its place is judged as text
        ended = rollout.tokens[-1:] == [self.chat.end_id]
        text = self.chat.decode(rollout.tokens[:-1] if ended else rollout.tokens)
        assert isinstance(item.answer, int)
        verdict = verify(text, len(item.options), item.answer, finished=rollout.finished)
        return Episode(item, prompt, rollout, text, verdict)
