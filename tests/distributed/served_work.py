"""Runs whose responses come from servers: here coroutines over plain torch, with weights that the trainer gave them.

A server holds the Hugging Face tensors of the last transfer and looks at them for every token, as vLLM does: an update
in mid-response shows in the tokens after it.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import plain_qwen
import torch
import work
from safetensors.torch import load_file

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.rollout import servers
from fleming_nemo.rollout.backend import Push
from fleming_nemo.rollout.draw import draw
from fleming_nemo.rollout.remote import RemoteEngine
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.training.engine import Engine


@dataclass(eq=False)
class PlainServer:
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    version: int | None = None
    incarnation: int = 1


class PlainServers:
    """Backend of rank 0.

    Args:
        dies_at: number of the response over which the first server dies.
        gone_at: number of the response after which no server is left.
    """

    pool = None

    def __init__(self, engine: Engine, chat: ChatTokenizer, dies_at: int = -1, gone_at: int = -1) -> None:
        self.shape, self.chat = engine.shape, chat
        self.servers = [PlainServer(), PlainServer()]
        self.events: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self._dies_at, self._gone_at, self._begun = dies_at, gone_at, 0

    async def open(self, push: Push) -> None:
        self._push = push

    async def bring_up(self, version: int) -> None:
        self.calls.append(f"up {version}")
        await self._push([server for server in self.servers if server.version != version])

    async def rest(self) -> None:
        self.calls.append("rest")

    async def close(self) -> None:
        self.calls.append("close")

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None],
    ) -> list[Rollout]:
        async def one(index: int, request: Request) -> Rollout:
            rollout = await self._respond(request, temperature, max_response)
            finished(index, rollout)
            return rollout

        return await asyncio.gather(*(one(n, request) for n, request in enumerate(requests)))

    async def _respond(self, request: Request, temperature: float, max_response: int) -> Rollout:
        self._begun += 1
        if self._begun == self._gone_at:
            raise UserError("no server is left; see the logs of the servers")
        server = self.servers[self._begun % 2]
        if self._begun == self._dies_at:
            server.weights, server.version, server.incarnation = {}, None, server.incarnation + 1
            self.events.append({"event": "died", "server": "plain"})
            await self._push([server])
            self.events.append({"event": "restarted", "server": "plain"})
        rollout = None
        while rollout is None:  # asked again where the server died over it
            rollout = await self._write(server, request, temperature, max_response)
        return rollout

    async def _write(
        self, server: PlainServer, request: Request, temperature: float, max_response: int
    ) -> Rollout | None:
        while server.version is None:
            await asyncio.sleep(0.01)
        incarnation = server.incarnation
        uniform = np.random.Generator(np.random.Philox(key=request.seed)).random(max_response)
        first, tokens, logprobs, ended = server.version, list[int](), list[float](), False
        for position in range(max_response):
            await asyncio.sleep(0)
            if server.incarnation != incarnation:
                return None
            ids = torch.tensor([[*request.prompt, *tokens]])
            with torch.no_grad():
                logits_1V = plain_qwen.forward(server.weights, self.shape, ids)[:, -1, : self.chat.size]
            token_1, logprob_1 = draw(logits_1V, torch.from_numpy(uniform[position : position + 1]), temperature)
            tokens.append(int(token_1))
            logprobs.append(float(logprob_1))
            if tokens[-1] in (self.chat.end_id, self.chat.pad_id):
                ended = True
                break
        return Rollout(tokens, np.array(logprobs, np.float32), ended, request.seed, first, server.version)


class ByFolder:
    """Gives weights to `PlainServer`s through a Hugging Face folder, which all ranks write together."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.modes: list[str] = []

    def push(self, servers: Sequence[PlainServer] | None, version: int, pool: Any, mode: str = "wait") -> None:
        hf.save(self.engine.networks, self.folder, self.engine.shape)
        if servers is not None:
            weights = {}
            for file in self.folder.glob("*.safetensors"):
                weights |= load_file(file)
            for server in servers:
                server.weights, server.version = weights, version
            shutil.rmtree(self.folder)
            self.modes.append(mode)


def whole_run(cfg: RunConfig, kill_after: int | None = None, **faults: int) -> dict[str, Any]:
    """`work.whole_run` on plain servers."""
    made: list[Any] = []

    def remote(cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> RemoteEngine:
        backend = PlainServers(engine, chat, **faults) if groups.rank() == 0 else None
        transfer = ByFolder(engine, Path(cfg.run_dir) / "transfer")
        made.append((backend, transfer))
        return RemoteEngine(backend, transfer)

    with mock.patch.object(servers, "remote", remote):
        told = work.whole_run(cfg, kill_after)
    backend, transfer = made[0]
    return told | {"calls": backend.calls if backend else [], "modes": transfer.modes}


def refused_run(cfg: RunConfig, gone_at: int) -> list[str]:
    """What every rank says about a run whose servers die for good."""
    try:
        whole_run(cfg, gone_at=gone_at)
    except UserError as error:
        mine = str(error)
    else:
        mine = "no error"
    told: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(told, mine)
    return told
