"""What `rollout.remote` asks of a rollout engine on servers, and of the transfer of weights to them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fleming_nemo.rollout.types import Request, Rollout

Push = Callable[[Sequence[Any]], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Group:
    """The responses that are wanted to one question.

    Attributes:
        number: of the question within its step.
        item: its id.
    """

    number: int
    item: str
    requests: list[Request]


class Backend(Protocol):
    """What rank 0 has: servers, and an engine over them.  Coroutines of one loop."""

    @property
    def pool(self) -> Any:
        """What a transfer reaches the servers by."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """What has happened to the servers; whoever records the rows clears the list."""
        ...

    async def open(self, push: Push) -> None:
        """Start or find the servers; `push` gives the present weights to those named, whenever it is called."""

    async def bring_up(self, version: int) -> None:
        """Have all servers that live awake and with the weights of `version`."""

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None],
    ) -> list[Rollout]: ...

    async def rest(self) -> None:
        """Give back the memory that training needs."""

    async def close(self) -> None: ...


class WeightTransfer(Protocol):
    """What every rank has."""

    def push(self, servers: Any, version: int, pool: Any, mode: str = "wait") -> Any: ...
