"""Servers that others start, on other nodes: found by servers.json, watched, waited for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.vllm import servers_file
from fleming_nemo.rollout.vllm.address import Address, Key
from fleming_nemo.rollout.vllm.origin import NotBack
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.servers_file import Entry, Listing
from fleming_nemo.rollout.vllm.transport import Http, Lost, Refused

READY_S = 1800.0
"""How long servers may take to be there: their nodes may start later than this one."""
BACK_S = 600.0
"""How long a dead server may take to come back before that counts as one failed restart."""
_LOOK_S = 1.0
_ANSWER_S = 30.0


class Given:
    """See `Pool.attach`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._servers: list[Server] = []
        self._seen: dict[Server, Entry] = {}
        self._read_at = 0.0

    async def key(self) -> Key:
        self._deadline = time.monotonic() + READY_S
        while not self._file.exists():
            if time.monotonic() > self._deadline:
                raise UserError(
                    f"{self._file} did not appear in {READY_S:g} s; look at the logs of the servers' nodes."
                )
            await asyncio.sleep(_LOOK_S)
        self._listing = servers_file.read(self._file)
        return Key.from_file(self._listing.key_file)

    async def open(self, http: Http) -> list[Server]:
        self._http = http
        for index, entry in enumerate(self._listing.entries):
            server = Server(f"vllm_{index}", entry.address)
            while not await self._answers(entry.address):
                if time.monotonic() > self._deadline:
                    raise UserError(f"{entry.address.url} does not answer; look at the log of that server.")
                await asyncio.sleep(_LOOK_S)
            self._servers.append(server)
            self._seen[server] = entry
        return self._servers

    def ended(self) -> list[tuple[Server, str]]:
        """Those that were restarted by whoever keeps them: they have lost the weights."""
        if time.monotonic() - self._read_at < _LOOK_S:
            return []
        self._read_at = time.monotonic()
        return [
            (server, "it was restarted by its node")
            for server, entry in self._now().items()
            if server.alive and entry != self._seen[server]
        ]

    def discard(self, server: Server) -> None:
        """Its node ends and restarts what does not answer."""

    async def again(self, server: Server) -> Address:
        deadline = time.monotonic() + BACK_S
        while time.monotonic() < deadline:
            entry = self._now().get(server, self._seen[server])
            if await self._answers(entry.address):
                self._seen[server] = entry
                return entry.address
            await asyncio.sleep(_LOOK_S)
        raise NotBack(f"{server.address.url} did not come back in {BACK_S:g} s")

    async def close(self) -> None:
        """They belong to others."""

    def _now(self) -> dict[Server, Entry]:
        try:
            listing: Listing = servers_file.read(self._file)
        except UserError:
            return {}  # a shared file system may lose sight of a file while it is replaced
        if len(listing.entries) != len(self._servers):
            return {}
        return dict(zip(self._servers, listing.entries, strict=True))

    async def _answers(self, address: Address) -> bool:
        try:
            await self._http.get(address, "/health", _ANSWER_S)
        except Lost:
            return False
        except Refused as error:
            if error.status in (401, 403):
                raise UserError(
                    f"{address.url} refuses the key in {self._listing.key_file}; start all anew."
                ) from error
            return False
        return True
