"""vLLM servers as the engine of a run: how many, of what kind, where, and how they get their weights.

colocated       started here, on the GPUs that train: they sleep while the step is trained on, weights by CUDA IPC
disaggregated   given by FLEMING_ROLLOUT_SERVERS, on GPUs of their own: weights over NCCL
CPU             started here, one for every `rollout.tp` trainer processes: weights over gloo
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.model import hf_config, hf_tokenizer
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import on_first
from fleming_nemo.rollout.backend import Push
from fleming_nemo.rollout.remote import RemoteEngine
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.rollout.vllm.engine import VLLMEngine
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.settings import ServerSettings
from fleming_nemo.training.engine import Engine

GIVEN = "FLEMING_ROLLOUT_SERVERS"
"""Environment variable: a servers.json, written where the servers were started."""

FOLDER = "rollout"
FP8_CAPABILITY = (8, 9)
"""Oldest GPUs (Ada) whose matrix units know fp8."""


def remote(cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> RemoteEngine:
    """The engine of `rollout.engine=vllm` or `vllm-fp8`.  Collective; nothing is started before it is needed.

    Raises:
        UserError: the servers cannot be what the config asks for.
    """
    given = os.environ.get(GIVEN, "")
    on_first(lambda: check(cfg, bool(given)))
    from fleming_nemo.rollout.transfer import Transfer

    transfer = Transfer(engine, backend="gloo" if not torch.cuda.is_available() else "nccl" if given else "ipc")
    backend = Servers(cfg, engine, chat, Path(given) if given else None) if groups.rank() == 0 else None
    return RemoteEngine(backend, transfer)


def check(cfg: RunConfig, given: bool) -> None:
    """Raise a UserError for what this machine cannot do."""
    on_gpu = torch.cuda.is_available()
    if cfg.rollout.engine == "vllm-fp8" and not (on_gpu and torch.cuda.get_device_capability() >= FP8_CAPABILITY):
        raise UserError(
            "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8 (Ada or newer), and there is none "
            "here; use rollout.engine=vllm"
        )
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


def settings(cfg: RunConfig, engine: Engine, chat: ChatTokenizer, given: bool) -> ServerSettings:
    """What the servers are started with; writes the folder that describes the model, without weights."""
    dtype = "float32" if cfg.model.precision == "fp32" else "bfloat16"
    folder = Path(cfg.run_dir) / FOLDER / "model"
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "config.json", hf_config.config_json(engine.shape, dtype))
    hf_tokenizer.write(chat, cfg.data.system_prompt, engine.shape.max_positions, folder)
    return ServerSettings(
        model=folder,
        num_tokens=chat.size,
        dtype=dtype,
        max_length=cfg.train.seq_length,
        max_sequences=cfg.rollout.decode_batch,
        tp=cfg.rollout.tp,
        seed=cfg.seed,
        fp8=cfg.rollout.engine == "vllm-fp8",
        sleeps=torch.cuda.is_available() and not given,
    )


class Servers:
    """The pool and its engine, on rank 0; see `rollout.backend.Backend`."""

    def __init__(self, cfg: RunConfig, engine: Engine, chat: ChatTokenizer, given: Path | None) -> None:
        made = settings(cfg, engine, chat, given is not None)
        if given is not None:
            self.pool = Pool.attach(given)
        else:
            count = max(1, dist.get_world_size() // cfg.rollout.tp)
            self.pool = Pool.start(made, count, Path(cfg.run_dir) / FOLDER)
        self._cfg, self._chat = cfg, chat
        self._colocated = given is None
        self._asleep = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.pool.events

    async def open(self, push: Push) -> None:
        self._push = push
        await self.pool.__aenter__()
        self._engine = VLLMEngine(
            self.pool,
            self._chat.size,
            {self._chat.end_id, self._chat.pad_id},
            push=push,
            staleness=self._cfg.rollout.staleness,
        )

    async def bring_up(self, version: int) -> None:
        await self.pool.revive()
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
        return await self._engine.generate(requests, temperature, max_response, weight_version, finished)

    async def rest(self) -> None:
        # level 2 drops weights and cache: the next weights come from the trainer anyway
        if self._colocated:
            await self._all("/sleep", {"level": "2"})
            self._asleep = True

    async def close(self) -> None:
        await self.pool.__aexit__(None, None, None)

    async def _all(self, path: str, params: dict[str, str]) -> None:
        for server in self.pool.servers:
            if server.alive:
                await self.pool.control(server, path, params=params)
