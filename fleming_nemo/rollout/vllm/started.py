"""Servers that this process starts, on this node."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files
from fleming_nemo.rollout.vllm import environment
from fleming_nemo.rollout.vllm.address import Address, Key, make_key
from fleming_nemo.rollout.vllm.origin import NotBack
from fleming_nemo.rollout.vllm.port import Port, is_listening
from fleming_nemo.rollout.vllm.process import ServerProcess
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings, command
from fleming_nemo.rollout.vllm.settings import environment as server_environment
from fleming_nemo.rollout.vllm.transport import Http, Lost, Refused

READY_S = 1200.0
"""How long a start may take: shapes are compiled, graphs captured; minutes for a large model."""
_LOOK_S = 0.5
_ANSWER_S = 30.0
_PORT_TAKEN = "ddress already in use"
_PORTS_TRIED = 3


class Started:
    """See `Pool.start`."""

    def __init__(
        self, settings: ServerSettings, count: int, logs: Path, gpus: Sequence[str], host: str, key_file: Path | None
    ) -> None:
        if gpus and len(gpus) < count * settings.tp:
            raise UserError(
                f"{count} servers of {settings.tp} GPUs each need {count * settings.tp}, and there are {len(gpus)}; "
                "lower rollout.tp, or give the job more GPUs."
            )
        self._settings, self._count, self._logs = settings, count, logs
        self._gpus, self._host, self._key_file = gpus, host, key_file
        self._python = environment.find()
        self._private: Path | None = None
        self._processes: dict[str, ServerProcess] = {}
        self._servers: list[Server] = []

    async def key(self) -> Key:
        # a short name: vLLM's sockets lie below, and Unix allows their paths 107 bytes
        self._private = Path(tempfile.mkdtemp(prefix="fleming-"))
        if self._key_file is None:
            self._key_file = self._private / "key"
            return make_key(self._key_file)
        return Key.from_file(self._key_file)

    async def open(self, http: Http) -> list[Server]:
        self._http = http
        environment.check_heads(not self._gpus, _head_dim(self._settings.model))
        names = [f"vllm_{index}" for index in range(self._count)]
        quiet = None  # on a terminal only
        with tqdm(total=self._count, desc="vLLM servers", unit="server", disable=quiet, leave=False) as bar:
            try:
                async with asyncio.TaskGroup() as group:  # the first that fails ends the others
                    starts = [group.create_task(self._start_one(name, bar)) for name in names]
            except ExceptionGroup as failed:
                first = failed.exceptions[0]
                raise (
                    UserError(f"a vLLM server did not start: {first}") if isinstance(first, NotBack) else first
                ) from None
        self._servers = [Server(name, start.result()) for name, start in zip(names, starts, strict=True)]
        return self._servers

    def ended(self) -> list[tuple[Server, str]]:
        found = [(server, self._processes[server.name]) for server in self._servers if server.alive]
        return [(server, process.epitaph()) for server, process in found if process.exit_code is not None]

    def discard(self, server: Server) -> None:
        self._processes[server.name].terminate()

    async def again(self, server: Server) -> Address:
        before = self._processes[server.name]
        before.terminate()
        await before.ended()
        return await self._start_one(server.name, None)

    async def close(self) -> None:
        for process in self._processes.values():
            process.terminate()
        await asyncio.gather(*(process.ended() for process in self._processes.values()))
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)

    async def _start_one(self, name: str, bar: tqdm | None) -> Address:
        """Raises NotBack, with the end of the log."""
        for _ in range(_PORTS_TRIED):
            port = Port(self._host)
            try:
                process = self._launch(name, port.number)
                address = Address(f"http://{_in_url(self._host)}:{port.number}", self._settings.tp)
                await self._until_ready(process, address, port)
            except NotBack as error:
                if _PORT_TAKEN not in str(error):
                    raise
                continue
            finally:
                port.release()
            if bar is not None:
                bar.update()
            return address
        raise NotBack(f"{name}: {_PORTS_TRIED} ports were taken by others; look at what else starts on this node")

    def _launch(self, name: str, port: int) -> ServerProcess:
        assert self._private is not None and self._key_file is not None
        index, tp = int(name.rpartition("_")[2]), self._settings.tp
        cores = sorted(os.sched_getaffinity(0))
        each = max(1, len(cores) // self._count)
        own = [cores[(index * each + i) % len(cores)] for i in range(each)]
        env = server_environment(
            self._settings,
            self._host,
            self._key_file.resolve(),
            self._private,
            gpus=self._gpus[index * tp : (index + 1) * tp],
            cores=own,
        )
        words = command(self._settings, self._python.path, self._host, port, on_cpu=not self._gpus)
        process = ServerProcess(words, env, self._logs / f"{name}.log")
        self._processes[name] = process
        return process

    async def _until_ready(self, process: ServerProcess, address: Address, port: Port) -> None:
        deadline = time.monotonic() + READY_S
        while process.exit_code is None:
            if await asyncio.to_thread(is_listening, process.pid, port.number):
                try:
                    await self._http.get(address, "/health", _ANSWER_S)
                    break
                except (Lost, Refused):
                    pass
            if time.monotonic() > deadline:
                process.terminate()
                await process.ended()
                raise NotBack(f"not ready after {READY_S:g} s; the end of {process.log}:\n{process.tail()}")
            await asyncio.sleep(_LOOK_S)
        if process.exit_code is not None:
            raise NotBack(f"{process.epitaph()}, which ends with:\n{process.tail()}")


def _head_dim(model: Path) -> int:
    try:
        return int(files.read_json(model / "config.json")["head_dim"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{model}: no model folder that the trainer wrote ({error}); start the run anew.") from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
