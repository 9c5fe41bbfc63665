"""vLLM servers as the engine of a run: how many, of what kind, where, and how they get their weights.

colocated       started here, on the GPUs that train: they sleep while the step is trained on, weights by CUDA IPC
disaggregated   given by FLEMING_ROLLOUT_SERVERS, on GPUs of their own: weights over NCCL
CPU             started here, one for every `rollout.tp` trainer processes: weights through shared memory, or over gloo
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.parallel.agreement import on_first
from fleming_nemo.rollout.backend import Push
from fleming_nemo.rollout.remote import RemoteEngine
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.rollout.vllm import environment, model_folder, servers_file
from fleming_nemo.rollout.vllm.engine import VLLMEngine
from fleming_nemo.rollout.vllm.pool import Pool, ServerLost
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings
from fleming_nemo.training.engine import Engine

GIVEN = "FLEMING_ROLLOUT_SERVERS"
"""Environment variable: a servers.json, written where the servers were started."""

FOLDER = "rollout"
ALONE = 0.9
"""Share of its GPU's memory that a server takes where nothing else runs."""

CONTEXT_BYTES = 5e9
"""Of a GPU's memory that no allocator sees: CUDA contexts and NCCL's buffers of two processes."""

FP8_CAPABILITY = (8, 9)
"""Oldest GPUs (Ada) whose matrix units know fp8."""


def remote(cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> RemoteEngine:
    """The engine of `rollout.engine=vllm` or `vllm-fp8`.  Collective; nothing is started before it is needed.

    Raises:
        UserError: the servers cannot be what the config asks for.
    """
    given = os.environ.get(GIVEN, "")
    on_first(lambda: check(cfg, bool(given)))
    apart = "nccl" if torch.cuda.is_available() else "gloo"
    transfer = Transfer(engine, backend=apart if given else None)
    backend: list[Servers] = []
    on_first(lambda: backend.append(Servers(cfg, chat, pool(cfg, engine, chat, given), colocated=not given)))
    return RemoteEngine(backend[0] if backend else None, transfer)


def check(cfg: RunConfig, given: bool) -> None:
    """Raise a UserError for what this machine cannot do."""
    on_gpu = torch.cuda.is_available()
    if cfg.rollout.engine == "vllm-fp8" and not (on_gpu and torch.cuda.get_device_capability() >= FP8_CAPABILITY):
        raise UserError(
            "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8 (Ada or newer), and there is none "
            "here; use rollout.engine=vllm"
        )
    if not given:
        environment.check_heads(not on_gpu, ARCHS[cfg.model.arch].head_dim)
    if on_gpu and not given and cfg.rollout.staleness:
        raise UserError(
            "rollout.staleness is 1, but servers on the GPUs that train cannot work while these train; give servers of "
            f"their own by {GIVEN} (see docs/rollouts.md), or set rollout.staleness=0"
        )
    if on_gpu and not given and dist.get_world_size() > torch.cuda.device_count():
        raise UserError(
            f"rollout.engine is {cfg.rollout.engine} on several nodes, where servers have to be started by the job: "
            f"slurm/grpo.sh does and names them in {GIVEN} (see docs/rollouts.md)"
        )


def settings(cfg: RunConfig, engine: Engine, chat: ChatTokenizer, colocated: bool) -> ServerSettings:
    """What the servers are started with; writes the folder that describes the model, without weights."""
    folder = (Path(cfg.run_dir) / FOLDER / "model").resolve()
    model_folder.write(folder, engine.shape, cfg.model.precision, chat, cfg.data.system_prompt)
    return ServerSettings(
        model=folder,
        num_tokens=chat.size,
        dtype=model_folder.DTYPES[cfg.model.precision],
        max_length=cfg.train.seq_length,
        max_sequences=cfg.rollout.decode_batch,
        tp=cfg.rollout.tp,
        seed=cfg.seed,
        fp8=cfg.rollout.engine == "vllm-fp8",
        sleeps=colocated,
        memory=_share(engine) if colocated else ALONE,
    )


def _share(engine: Engine) -> float:
    """What the trainer leaves of its GPU's memory while it waits: without activations, with Adam's two moments, which
    it allocates at the first step."""
    parameters = sum(p.numel() for network in engine.networks for p in network.parameters())
    kept = torch.cuda.memory_allocated() + 2 * 4 * parameters / (engine.layout.dp * engine.layout.cp) + CONTEXT_BYTES
    return 1 - kept / torch.cuda.get_device_properties(0).total_memory


def pool(cfg: RunConfig, engine: Engine, chat: ChatTokenizer, given: str) -> Pool:
    """The servers of a run, not started or looked for yet."""
    on_gpu = torch.cuda.is_available()
    made = settings(cfg, engine, chat, colocated=on_gpu and not given)
    if given:
        made.save(Path(given).parent / servers_file.SETTINGS)
        return Pool.attach(Path(given))
    world = dist.get_world_size()
    count = max(1, world // cfg.rollout.tp)
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if on_gpu else []
    if on_gpu and gpus == [""]:
        gpus = [str(n) for n in range(world)]
    logs = Path(os.environ.get("FLEMING_LOGS") or Path(cfg.run_dir) / FOLDER)
    return Pool.start(made, count, logs, gpus)


class Servers:
    """The pool and its engine, on rank 0; see `rollout.backend.Backend`."""

    def __init__(self, cfg: RunConfig, chat: ChatTokenizer, pool: Pool, colocated: bool) -> None:
        self._cfg, self._chat, self._pool = cfg, chat, pool
        self._colocated, self._asleep = colocated, False
        self._engine: VLLMEngine | None = None

    @property
    def pool(self) -> Pool:
        return self._pool

    @property
    def events(self) -> list[dict[str, Any]]:
        return self._pool.events

    async def open(self, push: Push) -> None:
        self._push = push
        await self._pool.__aenter__()
        self._engine = VLLMEngine(
            self._pool,
            self._chat.size,
            {self._chat.end_id, self._chat.pad_id},
            self._cfg.rollout.decode_batch,
            push=push,
            staleness=self._cfg.rollout.staleness,
        )

    async def bring_up(self, version: int) -> None:
        if not any(server.alive for server in self.pool.servers):
            await self.pool.revive()  # one is enough to go on with; the engine restarts others while it generates
        if self._asleep:
            await self._all("/wake_up", {"tags": "weights"})
        await self._push([s for s in self.pool.servers if s.alive and s.version != version])
        if self._asleep:
            # only now: the weights that arrive and the cache would not fit beside each other and the gathered shards
            await self._all("/wake_up", {"tags": "kv_cache"})
            self._asleep = False

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None],
    ) -> list[Rollout]:
        assert self._engine is not None
        return await self._engine.generate(requests, temperature, max_response, weight_version, finished)

    async def rest(self) -> None:
        # level 2 drops weights and cache: the next weights come from the trainer anyway
        if self._colocated:
            await self._all("/sleep", {"level": "2"})
            self._asleep = True

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()
            await self._pool.__aexit__()

    async def _all(self, path: str, params: dict[str, str]) -> None:
        async def ask(server: Server) -> None:
            with suppress(ServerLost):  # noted by the pool; the engine restarts it while it generates
                await self.pool.control(server, path, params=params)

        await asyncio.gather(*(ask(server) for server in self.pool.servers if server.alive))
