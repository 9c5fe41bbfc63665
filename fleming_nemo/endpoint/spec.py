"""Which model is asked, how hard, and what it may cost."""

from __future__ import annotations

import math
import urllib.parse
from dataclasses import dataclass, field

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.key import Key


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible server.

    Attributes:
        base_url: up to and without "/chat/completions", for example "http://localhost:8000/v1".
        concurrency: calls under way at the same time.
        timeout_s: for one whole call, from connecting to the last byte.
        attempts: calls made for one request before it counts as not answered.
        pause_s: about the pause before the second attempt; it doubles with each further one, up to a minute.
        requests_per_minute, tokens_per_minute: what the client keeps to by itself; None is no limit. Tokens are those
            of prompt and completion.
        price_in, price_out: money per million prompt and completion tokens, in any currency; 0 is free.
    """

    base_url: str
    model: str
    key: Key = field(default_factory=Key)
    concurrency: int = 16
    timeout_s: float = 300.0
    attempts: int = 6
    pause_s: float = 1.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if not self.model:
            raise UserError("the endpoint needs a model; name one that the server lists under /models.")
        for name in ("concurrency", "attempts"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise UserError(f"endpoint, {name} {value!r}: expected a whole number of at least 1.")
        for name in ("timeout_s", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise UserError(f"endpoint, {name} {value!r}: expected a positive number.")
        for name in ("price_in", "price_out", "pause_s"):
            check_not_negative(f"endpoint, {name}", getattr(self, name))

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


@dataclass(frozen=True)
class Budget:
    """Ceilings for all that is spent on the answers of one cache folder, earlier runs included; None is no ceiling."""

    tokens: int | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "money"):
            if (value := getattr(self, name)) is not None:
                check_not_negative(f"budget in {name}", value)


def check_not_negative(what: str, value: object) -> None:
    if not (_is_number(value) and value >= 0):  # type: ignore[operator]
        raise UserError(f"{what} {value!r}: expected 0 or a positive number.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_base_url(base_url: str) -> None:
    """Raises UserError, which quotes nothing that may be secret."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise UserError("the endpoint's address is no URL; expected http(s)://HOST/v1.") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError("the endpoint's address holds a user, a password or a query; keys go into a variable or file.")
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"the endpoint's address {base_url[:80]!r}: expected http(s)://HOST/v1.")
