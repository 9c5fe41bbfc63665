"""An endpoint as command lines and plans describe it: plain values, with the name of the key's place, never the key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.key import Key
from fleming_nemo.endpoint.spec import Budget, Endpoint

KEY_ENV = "OPENAI_API_KEY"


@dataclass(frozen=True)
class EndpointForm:
    """See Endpoint and Budget for the fields; the key is read when the endpoint is made.

    `temperature` and `max_tokens` are for users that ask everything alike, such as the label check.
    """

    base_url: str
    model: str
    key_env: str = KEY_ENV
    key_file: str = ""
    concurrency: int = Endpoint.concurrency
    timeout_s: float = Endpoint.timeout_s
    attempts: int = Endpoint.attempts
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    budget_tokens: int | None = None
    budget_money: float | None = None
    temperature: float = 1.0
    max_tokens: int = 4096

    def __post_init__(self) -> None:
        self._with(Key())
        self.budget()

    def endpoint(self) -> Endpoint:
        """Raises UserError when a key is named that is not there."""
        if not self.key_file and self.key_env != KEY_ENV and not os.environ.get(self.key_env):
            raise UserError(f"environment variable {self.key_env} is not set; put the endpoint's key into it.")
        return self._with(Key.from_file(Path(self.key_file)) if self.key_file else Key.from_environment(self.key_env))

    def _with(self, key: Key) -> Endpoint:
        return Endpoint(
            self.base_url,
            self.model,
            key,
            self.concurrency,
            self.timeout_s,
            self.attempts,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            price_in=self.price_in,
            price_out=self.price_out,
        )

    def budget(self) -> Budget:
        if self.budget_money is not None and not (self.price_in or self.price_out):
            raise UserError("a budget in money needs prices; give --price-in and --price-out (per million tokens).")
        return Budget(self.budget_tokens, self.budget_money)
