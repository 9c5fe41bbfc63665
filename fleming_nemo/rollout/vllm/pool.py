"""The servers of a run: started here or given, watched, restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.endpoint.pace import growing_pause
from fleming_nemo.rollout.vllm.given import Given
from fleming_nemo.rollout.vllm.origin import NotBack, Origin, ServerLost
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings
from fleming_nemo.rollout.vllm.started import Started
from fleming_nemo.rollout.vllm.transport import Http, Lost, Refused
from fleming_nemo.rollout.vllm.watch import watch
from fleming_nemo.rollout.vllm.worker.fleming_guard import READ

__all__ = ["Pool", "Refused", "ServerLost"]

RESTARTS = 3
"""Starts again of one server without a reply of its in between; then it is given up."""
_FIRST_PAUSE_S = 1.0
_WRONG_REPLIES = 3


class Pool:
    """Lives in one asyncio loop, that of rank 0.

    Attributes:
        servers: all of them, dead ones too.
        events: rows {"time", "event", "server", "incarnation", ...} in order; whoever records them clears the list.
        loop: the loop that the pool was entered in.
        listeners: called without arguments whenever a server died, came back or got weights.
    """

    loop: asyncio.AbstractEventLoop
    http: Http

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.servers: list[Server] = []
        self.events: list[dict[str, Any]] = []
        self.listeners: list[Callable[[], None]] = []
        self._restarts: dict[Server, int] = {}
        self._reasons: dict[Server, str] = {}
        self._wrong: dict[Server, int] = {}
        self._turns: dict[Server, asyncio.Lock] = {}
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    def start(
        cls,
        settings: ServerSettings,
        count: int,
        logs: Path,
        gpus: Sequence[str] = (),
        host: str = "127.0.0.1",
        key_file: Path | None = None,
    ) -> Pool:
        """Servers of our own on this node.  Nothing runs before `async with`.

        Args:
            logs: `RUN/logs/attempt_K`; server N writes `vllm_N.log` there.
            gpus: devices as CUDA_VISIBLE_DEVICES names them, `settings.tp` a server; none = on the CPU.
            host: address to listen on, and on no other.
            key_file: None = a new key that ends with the pool.
        """
        return cls(Started(settings, count, logs, gpus, host, key_file))

    @classmethod
    def attach(cls, file: Path) -> Pool:
        """Servers that `fleming_nemo.rollout.vllm.serve` started elsewhere, by its servers.json (`servers_file`)."""
        return cls(Given(file))

    async def __aenter__(self) -> Pool:
        """All servers are there and answer.

        Raises:
            UserError: one is not; with the end of its log where it was started here.
        """
        self.loop = asyncio.get_running_loop()
        try:
            self.http = Http(await self._origin.key())
            self.servers = await self._origin.open(self.http)
        except BaseException:
            await self.__aexit__()
            raise
        for server in self.servers:
            self._turns[server] = asyncio.Lock()
            self._restarts[server] = self._wrong[server] = 0
            self.note("server_started", server, url=server.address.url, world=server.address.world)
        self._watch = asyncio.create_task(watch(self, self._origin), name="vllm-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if hasattr(self, "http"):
            await self.http.close()
        await self._origin.close()

    async def control(
        self,
        server: Server,
        path: str,
        json: Any = None,
        params: dict[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> dict[str, Any]:
        """POST on a guarded route, or GET on one that only tells something (`worker/fleming_guard.py` lists both).

        Raises:
            ServerLost: it is dead, or died over this.
            Refused: it answered with an error status; `.status`, `.said`.
        """
        if not server.alive:
            raise ServerLost(server, self._reasons.get(server, "it is dead"))
        try:
            if path in READ:
                reply = await self.http.get(server.address, path, timeout_s)
            else:
                reply = await self.http.post(server.address, path, json, timeout_s, params)
        except Lost as error:
            self.lost(server, f"{path}: {error}")
            raise ServerLost(server, f"{path}: {error}") from None
        return reply if isinstance(reply, dict) else {"reply": reply}

    async def revive(self) -> list[Server]:
        """Restart what has died, as often as allowed; returns those which live and have no weights (version None)."""
        dead = [server for server in self.servers if not server.alive and not self.given_up(server)]
        await asyncio.gather(*map(self.restart, dead))
        return [server for server in self.servers if server.alive and server.version is None]

    async def restart(self, server: Server) -> bool:
        """One start again of a dead server, after a growing pause; whether it is there now."""
        async with self._turns[server]:
            if server.alive or self.given_up(server):
                return server.alive
            attempt = self._restarts[server] + 1
            await asyncio.sleep(growing_pause(_FIRST_PAUSE_S, attempt, server.name))
            began = time.monotonic()
            try:
                server.address = await self._origin.again(server)
            except NotBack as error:
                self._restarts[server] = attempt  # not before: the last start is waited for as well
                self._reasons[server] = str(error)
                self.note("server_given_up" if self.given_up(server) else "restart_failed", server, why=str(error))
                return False
            self._restarts[server] = attempt
            server.incarnation += 1
            server.alive, server.version = True, None
            self._wrong[server] = 0
            self.note("server_restarted", server, url=server.address.url, seconds=round(time.monotonic() - began, 3))
            self.changed()
            return True

    def lost(self, server: Server, why: str) -> None:
        """It is dead, or as good as: what is left of it is ended."""
        if not server.alive:
            return
        server.alive, server.version = False, None
        self._reasons[server] = why
        self._origin.discard(server)
        self.note("server_lost", server, why=why)
        self.changed()

    def given_up(self, server: Server) -> bool:
        return not server.alive and self._restarts[server] >= RESTARTS

    def answered(self, server: Server) -> None:
        """It works: restarts and wrong replies are counted anew."""
        self._restarts[server] = self._wrong[server] = 0

    def failed(self, server: Server) -> bool:
        """Count a wrong reply; whether there were so many in a row that the server is no use."""
        self._wrong[server] += 1
        return self._wrong[server] >= _WRONG_REPLIES

    def epitaph(self) -> str:
        """Why each server that is not alive is not."""
        return "; ".join(f"{s.name}: {self._reasons.get(s, 'dead')}" for s in self.servers if not s.alive)

    def note(self, event: str, server: Server, **facts: Any) -> None:
        row = {"time": time.time(), "event": event, "server": server.name, "incarnation": server.incarnation}
        self.events.append(row | facts)

    def changed(self) -> None:
        for listener in list(self.listeners):
            listener()
