"""The budget: a call goes out only when it fits even if it takes the most it can."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.exchange import Request
from fleming_nemo.endpoint.spec import Budget, Endpoint

# What chat templates add: a system prompt of their own, and the marks around each message.
_TEMPLATE_TOKENS = 200
_MESSAGE_TOKENS = 16


@dataclass(frozen=True)
class Bound:
    """The most that one call can take."""

    prompt_tokens: int
    completion_tokens: int
    cost: float

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def bound(endpoint: Endpoint, request: Request) -> Bound:
    """No token of a byte-level vocabulary is shorter than one byte, so bytes bound the prompt for any tokenizer."""
    texts = sum(len(text.encode("utf-8", "surrogatepass")) for m in request.messages for text in m.values())
    prompt = texts + _MESSAGE_TOKENS * len(request.messages) + _TEMPLATE_TOKENS
    return Bound(prompt, request.max_tokens, endpoint.cost(prompt, request.max_tokens))


class Account:
    """What was spent, and what calls under way may still take.

    `tokens` and `cost` begin with what earlier runs on the same cache spent.
    """

    def __init__(self, budget: Budget, tokens: int = 0, cost: float = 0.0) -> None:
        self.budget = budget
        self.tokens, self.cost = tokens, cost
        self._held_tokens, self._held_cost, self._num_held = 0, 0.0, 0
        self._changed = asyncio.Event()

    async def hold(self, most: Bound) -> None:
        """Set `most` aside; where it does not fit, wait for calls under way, which mostly take less than their most.

        Raises UserError when nothing is under way and it does not fit.
        """
        while lacking := self._lacking(most):
            if not self._num_held:
                raise UserError(lacking)
            self._changed.clear()
            await self._changed.wait()
        self._held_tokens += most.tokens
        self._held_cost += most.cost
        self._num_held += 1

    def settle(self, most: Bound, tokens: int = 0, cost: float = 0.0) -> None:
        """End a hold; `tokens` and `cost` are what the call took."""
        self._held_tokens -= most.tokens
        self._held_cost -= most.cost
        self._num_held -= 1
        if not self._num_held:
            self._held_cost = 0.0  # sums of floats leave crumbs
        self.tokens += tokens
        self.cost += cost
        self._changed.set()

    def _lacking(self, most: Bound) -> str:
        tokens, money = self.budget.tokens, self.budget.money
        goes_on = "finished answers are kept, and the same command with a higher budget goes on from there."
        if tokens is not None and self.tokens + self._held_tokens + most.tokens > tokens:
            return f"{self.tokens} of {tokens} tokens are used and the next call may take {most.tokens}; {goes_on}"
        if money is not None and self.cost + self._held_cost + most.cost > money:
            return f"{self.cost:.4f} of {money} are spent and the next call may cost {most.cost:.4f}; {goes_on}"
        return ""
