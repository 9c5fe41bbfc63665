"""The servers of a run: started here or given, watched, restarted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings


class Pool:
    """Lives in one asyncio loop, that of rank 0.

    Attributes:
        servers: all of them, dead ones too.
        events: rows {"event", "server", "incarnation", "seconds", ...} in order; whoever records them clears the list.
        loop: the loop that the pool was entered in.
    """

    servers: list[Server]
    events: list[dict[str, Any]]
    loop: asyncio.AbstractEventLoop

    @classmethod
    def start(cls, settings: ServerSettings, count: int, logs: Path) -> Pool:
        """Servers of our own on this node, logs in `logs`/vllm_N.log.  Nothing runs before `async with`."""
        raise NotImplementedError

    @classmethod
    def attach(cls, file: Path) -> Pool:
        """Servers that `fleming_nemo.rollout.vllm.serve` started elsewhere, by its servers.json."""
        raise NotImplementedError

    async def __aenter__(self) -> Pool:
        """All servers are there and answer. Raises UserError with the end of a log where one is not."""
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        raise NotImplementedError

    async def control(
        self,
        server: Server,
        path: str,
        json: Any = None,
        params: dict[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> dict[str, Any]:
        """POST on a guarded route (GET where `json` and `params` have no place: `/weight_info`, `/get_world_size` ...).

        Raises:
            ServerLost: it is dead, or died over this.
            Refused: it answered with an error status; `.status`, `.said`.
        """
        raise NotImplementedError

    async def revive(self) -> list[Server]:
        """Restart what has died, as often as allowed; returns those which live and have no weights (version None)."""
        raise NotImplementedError
