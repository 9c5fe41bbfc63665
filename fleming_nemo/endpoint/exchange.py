"""What is asked, what comes back, and who can be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


class NoAnswer(Exception):
    """This request got no answer in all its attempts; the text says why. Nothing is cached, so a later run asks it.

    `kind` is the reason in a few words, the same for all failures of a kind, for counts.
    """

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.kind = kind or reason


@dataclass(frozen=True)
class Request:
    """One chat completion.

    Attributes:
        messages: {"role", "content"} each.
        trial: another trial of the same messages is another question; the server gets it as its sampling seed.
    """

    messages: tuple[dict[str, str], ...]
    temperature: float = 1.0
    max_tokens: int = 4096
    trial: int = 0

    def body(self, model: str) -> dict[str, Any]:
        """What is sent, and with it what the cache knows the answer by.

        The server's address is no part of it: the same model behind another port answers the same questions.
        """
        return {
            "model": model,
            "messages": list(self.messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.trial,
        }


@dataclass(frozen=True)
class Reply:
    """What the server said.

    Attributes:
        text: None where the server refused the request (content filter, text too long); may be empty.
        finish: the server's finish reason ("stop", "length", ...), or why it refused.
        reasoning: thoughts that the server split off the text, if it does so.
        prompt_tokens, completion_tokens: as the server counted; an upper bound where it does not say.
        cached: bought in an earlier call.
    """

    text: str | None
    finish: str = "stop"
    reasoning: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False


class Client(Protocol):
    """Anything that answers requests: an endpoint over HTTP, or a recording."""

    async def ask(self, request: Request) -> Reply:
        """Raises NoAnswer when this request fails for good, UserError when the run has to stop."""
        ...


def encoded(body: dict[str, Any]) -> bytes:
    """The body on the wire. Escaped to ASCII, so that a lone surrogate in a text is no error."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")
