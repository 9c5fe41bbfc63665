"""Where servers come from: what a pool asks of those that start them and of those that are given them."""

from __future__ import annotations

from typing import Protocol

from fleming_nemo.rollout.vllm.address import Address, Key
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.transport import Http


class ServerLost(Exception):
    """A server died; `server` is marked so."""

    def __init__(self, server: Server, why: str) -> None:
        super().__init__(f"{server.name}: {why}")
        self.server = server


class NotBack(Exception):
    """A dead server did not come back; the reason in a few words."""


class Origin(Protocol):
    """Servers that are started here (`Started`) or by others (`Given`)."""

    async def key(self) -> Key:
        """The key of all of them."""

    async def open(self, http: Http) -> list[Server]:
        """All servers, each ready. Raises UserError."""

    def ended(self) -> list[tuple[Server, str]]:
        """A quick look: living servers that are known to be gone, and why."""

    def discard(self, server: Server) -> None:
        """End what is left of a server that does not answer."""

    async def again(self, server: Server) -> Address:
        """Have it back, without weights. Raises NotBack."""

    async def close(self) -> None:
        """End what was started here."""
