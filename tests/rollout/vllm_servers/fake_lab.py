"""Pools of fake servers: everything of the engine is real but vLLM itself."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import fake_vllm
import pytest

from fleming_nemo.rollout.types import Request
from fleming_nemo.rollout.vllm import environment, pool, started
from fleming_nemo.rollout.vllm.engine import VLLMEngine
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings

SETTINGS = ServerSettings(Path("nowhere"), fake_vllm.NUM_TOKENS, "float32", 64, 8)


class Lab:
    """Fake servers with faults, and an engine over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = folder / "faults.json"
        self.pushed: list[str] = []
        self.fail()

    def fail(self, **shares: Any) -> None:
        """From now on: this share of requests meets these faults; `seconds` = what a response takes."""
        temporary = self.faults.with_suffix(".tmp")
        temporary.write_text(json.dumps(shares))
        temporary.replace(self.faults)

    def pool(self, servers: int = 2) -> Pool:
        return Pool.start(SETTINGS, servers, self.folder / "logs")

    def engine(self, pool: Pool, **options: Any) -> VLLMEngine:
        options = {"push": self.push(pool), "decode_batch": 8, "patience_s": 2.0} | options
        return VLLMEngine(pool, fake_vllm.NUM_TOKENS, {fake_vllm.STOP}, **options)

    def push(self, pool: Pool) -> Callable[[list[Server]], Coroutine[Any, Any, None]]:
        async def give(servers: list[Server]) -> None:
            for server in servers:
                await pool.control(server, "/update_weight_version", {"new_version": "3"})
                server.version = 3
                self.pushed.append(server.name)

        return give

    def run(
        self, what: Callable[[Pool, VLLMEngine], Coroutine[Any, Any, Any]], servers: int = 2, **options: Any
    ) -> Any:
        """`what` with a pool whose servers hold the weights of step 3."""

        async def whole() -> Any:
            async with self.pool(servers) as running:
                await self.push(running)(running.servers)
                self.pushed.clear()
                engine = self.engine(running, **options)
                try:
                    return await asyncio.wait_for(what(running, engine), 120)
                finally:
                    await engine.close()

        return asyncio.run(whole())

    def asked(self) -> list[int]:
        """Seeds in the order that servers met them."""
        lines = self.faults.with_suffix(".log").read_text().splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("asked")]

    def aborted(self) -> int:
        return self.faults.with_suffix(".log").read_text().splitlines().count("aborted")


def build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose pools start fake servers where they would start vLLM."""
    made = Lab(folder)

    def command(settings: ServerSettings, python: Path, host: str, port: int, on_cpu: bool) -> list[str]:
        return [sys.executable, "-I", fake_vllm.__file__, host, str(port), str(made.faults)]

    monkeypatch.setattr(started, "_head_dim", lambda model: 32)
    monkeypatch.setattr(environment, "find", lambda: environment.VLLMPython(Path(sys.executable), "0.32.0", True))
    monkeypatch.setattr(started, "command", command)
    monkeypatch.setattr(started, "_LOOK_S", 0.05)
    monkeypatch.setattr(pool, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return made


def requests(groups: int, samples: int) -> list[Request]:
    return [Request((7, 8 + g), seed=1000 * g + k) for g in range(groups) for k in range(samples)]
