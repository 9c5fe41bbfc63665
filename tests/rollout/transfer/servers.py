"""Servers and a pool for tests of transfers: real processes behind HTTP, started and controlled by one rank."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2

from fleming_nemo.rollout.vllm import worker

WORKER_FOLDER = Path(next(iter(worker.__path__)))


class Address:
    def __init__(self, url: str, world: int) -> None:
        self.url, self.world = url, world


class Server:
    """What a transfer looks at in a server."""

    def __init__(self, name: str, url: str, world: int = 1) -> None:
        self.name, self.address = name, Address(url, world)
        self.incarnation = 1
        self.version: int | None = None


class Refused(Exception):
    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class Pool:
    """Requests from a loop of its own; no server is ever restarted by itself."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._client = httpx2.AsyncClient(timeout=300, trust_env=False, headers=headers)
        self.given_up: list[str] = []

    async def control(
        self, server: Any, path: str, json: Any = None, params: Any = None, timeout_s: float = 300
    ) -> dict[str, Any]:
        response = await self._client.post(server.address.url + path, json=json, params=params, timeout=timeout_s)
        if response.status_code >= 300:
            raise Refused(response.status_code, response.text)
        return response.json() if response.content else {}

    def lost(self, server: Any, why: str) -> None:
        self.given_up.append(server.name)

    def ask(self, server: Server, path: str, json: Any = None, params: Any = None) -> Any:
        return asyncio.run_coroutine_threadsafe(self.control(server, path, json, params), self.loop).result()

    def start(self, worlds: dict[str, int]) -> list[Server]:
        """Servers of `receiving.py` by name, with their numbers of workers; they end with this process."""
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("receiving.py")), *map(str, worlds.values())],
            env=os.environ | {"PYTHONPATH": str(WORKER_FOLDER), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ports = dict(map(int, self._process.stdout.readline().split()) for _ in worlds)
        return [
            Server(name, f"http://127.0.0.1:{ports[number]}", world)
            for number, (name, world) in enumerate(worlds.items())
        ]
