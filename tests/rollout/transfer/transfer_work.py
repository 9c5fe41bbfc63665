"""What the ranks of a transfer test do.  Every function runs on all ranks; rank 0's value counts."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import tiny
import torch
from live_bytes import LiveBytes
from megatron.core import parallel_state
from safetensors.torch import load_file
from servers import Pool, Server

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.model import hf, hf_names
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.transfer.push import Report, Transfer
from fleming_nemo.rollout.vllm.pool import Pool as VLLMPool
from fleming_nemo.training.engine import Engine

BUCKET_BYTES = 100_000
"""Less than an embedding, so that tensors are cut, and some of them in the middle of a rank's part."""

WORLDS = {"pair": 2, "single": 1, "third": 1, "third again": 1}
"""Workers of each receiving server."""

_pool: list[Any] = []
"""Receiving processes of this process's life, all started together: the import of torch takes longest."""


def _engine(cfg: RunConfig, weights: Path) -> Engine:
    if not parallel_state.model_parallel_is_initialized():
        groups.init(cfg.parallel, seed=7)
    return tiny.engine(cfg, weights)


def receiving(*names: str) -> tuple[Pool | None, list[Server] | None]:
    """Servers by name, on rank 0."""
    if groups.rank():
        return None, None
    if not _pool:
        _pool.append(Pool())
        _pool.append({server.name: server for server in _pool[0].start(WORLDS)})
    chosen = [_pool[1][name] for name in names]
    for server in chosen:
        server.version = None
    return _pool[0], chosen


def received_as_exported(
    cfg: RunConfig, weights: Path, folder: Path, backend: str | None = "gloo", messages: bool = False
) -> dict[str, Any]:
    """Push, train, push again; compare with what `hf.save` writes.

    Args:
        messages: move cuts as ranks of several nodes do.
    """
    engine = _engine(cfg, weights)
    own = [parameter for _, parameter in hf_names.parameters(engine.networks)]
    different, reports = [], []
    pool, servers = receiving("pair", "single")
    with LiveBytes(own) as memory:
        transfer = Transfer(engine, backend, BUCKET_BYTES, timeout_s=30)
        assert transfer.shards.stream.shares
        transfer.shards.stream.shares = not messages
    peak = memory.peak
    for version in (3, 4):
        with LiveBytes(own) as memory:
            reports.append(transfer.push(servers, version, pool))
        peak = max(peak, memory.peak)
        exported = folder / str(version)
        hf.save(engine.networks, exported, engine.shape)
        if pool is not None and servers is not None:
            for server in servers:
                state = pool.ask(server, "/test/state")
                assert state["held"] == [version] * server.address.world and server.version == version
                assert state["label"] == str(version) and not state["paused"]
            different += _differences(pool, servers, exported, folder)
        tiny.train(engine, "sft", range(1))
    transfer.close()
    told = everyone([report.updated for report in reports])
    return {"different": different, "reports": reports, "told": told, "peaks": everyone(peak)}


def changes(cfg: RunConfig, weights: Path, folder: Path) -> dict[str, Any]:
    """Pushes of changes alone: after few weights changed, one bit of it damaged, all changed, none changed, a server
    that holds something else."""
    engine = _engine(cfg, weights)
    transfer = Transfer(engine, "gloo", BUCKET_BYTES, timeout_s=30, changes=True)
    pool, servers = receiving("pair", "single")
    found: dict[str, Any] = {}

    def push(name: str, version: int) -> None:
        report = transfer.push(servers, version, pool)
        exported = folder / str(version)
        hf.save(engine.networks, exported, engine.shape)
        different = _differences(pool, servers, exported, folder) if pool is not None and servers is not None else []
        found[name] = report, different

    def change_few(by: float) -> None:
        with torch.no_grad():
            for _, parameter in hf_names.parameters(engine.networks):
                parameter.view(-1)[::50] += by

    push("first", 1)
    change_few(0.5)
    push("few", 2)
    change_few(0.25)
    if pool is not None and servers is not None:
        pool.ask(servers[1], "/test/fault", {"kind": "flip", "at": 0})
    push("damaged", 3)
    change_few(0.25)
    push("few again", 4)
    tiny.train(engine, "sft", range(1))
    push("all", 5)
    push("none", 6)
    change_few(0.5)
    if servers is not None:
        servers[0].version = None
    push("fresh", 7)
    transfer.close()
    return found


def _differences(pool: Pool, servers: list[Server], exported: Path, folder: Path) -> list[str]:
    """Names of tensors whose bits are not those of the export, or that are missing or too many."""
    expected = {k: t for file in exported.glob("*.safetensors") for k, t in load_file(file).items()}
    found: list[str] = []
    for server in servers:
        path = folder / server.name
        pool.ask(server, "/test/save", str(path))
        for worker in range(server.address.world):
            got = torch.load(f"{path}.{worker}")
            found += sorted(got.keys() ^ expected.keys())
            found += [k for k in got.keys() & expected.keys() if not _same(got[k], expected[k])]
    return found


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def faults(cfg: RunConfig, weights: Path, folder: Path, backend: str) -> dict[str, Any]:
    """One misfortune after the other, each followed by a look at what is left."""
    engine = _engine(cfg, weights)
    transfer = Transfer(engine, backend, BUCKET_BYTES, timeout_s=20)
    pool, servers = receiving("pair", "single")
    found: dict[str, Any] = {}

    def push(name: str, version: int, of: Transfer = transfer) -> None:
        begun = time.monotonic()
        try:
            report: Report | str = of.push(servers, version, pool)
        except UserError as error:
            report = str(error)
        assert all(type(other) is type(report) for other in everyone(report))
        seconds = time.monotonic() - begun
        found[name] = report, [_state(pool, server) for server in servers or [] if pool is not None], seconds

    def fault(server: int, **what: Any) -> None:
        if pool is not None and servers is not None:
            pool.ask(servers[server], "/test/fault", what)

    push("before", 1)
    fault(0, kind="flip", at=2)
    push("flip", 2)
    fault(1, kind="raise", at=3)
    push("raise", 3)
    if servers is not None:
        servers[0].version = 7
    push("wrong version", 4)
    fault(0, kind="raise always", at=1)
    push("hopeless", 5)
    fault(0)
    hf.save(engine.networks, folder / "exported", engine.shape)
    push("afterwards", 6)
    if pool is not None and servers is not None:
        found["different"] = _differences(pool, servers, folder / "exported", folder)
        servers += receiving("third")[1] or []
    fault(2, kind="kill", at=2)
    push("kill", 7)
    if pool is not None and servers is not None:
        (replaced,) = receiving("third again")[1] or []
        servers[2].address, servers[2].incarnation = replaced.address, 2
    push("restarted", 8)
    transfer.close()
    impatient = Transfer(engine, backend, BUCKET_BYTES, timeout_s=2)
    fault(2, kind="freeze", at=2)
    push("freeze", 9, impatient)
    impatient.close()
    if pool is not None:
        found["given up"] = pool.given_up
    return found


def _state(pool: Pool, server: Server) -> dict[str, Any]:
    """What the server says, and what the trainer takes it to hold."""
    try:
        return pool.ask(server, "/test/state") | {"version": server.version}
    except httpx2.TransportError:
        return {"gone": True, "version": server.version}


def into_vllm(cfg: RunConfig, weights: Path, servers_json: Path, sequences: list[list[int]]) -> dict[str, Any]:
    """Several pushes with training in between, each followed by the proof by log-probabilities."""
    engine = _engine(cfg, weights)
    transfer = Transfer(engine, "gloo", timeout_s=60)
    differences, reports = [], []
    with attached(servers_json) as (pool, servers):
        before = transfer.compare(sequences, servers, pool)
        for version in range(3):
            reports.append(transfer.push(servers, version, pool))
            differences.append(transfer.compare(sequences, servers, pool))
            tiny.train(engine, "sft", range(version, version + 1))
        stale = transfer.compare(sequences, servers, pool)
    transfer.close()
    return {"before": before, "differences": differences, "stale": stale, "reports": reports}


@contextmanager
def attached(servers_json: Path) -> Iterator[tuple[Any, Any]]:
    """A pool of servers that run already, on rank 0; its loop runs in a thread, as in a run."""
    if groups.rank():
        yield None, None
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    pool = asyncio.run_coroutine_threadsafe(VLLMPool.attach(servers_json).__aenter__(), loop).result()
    try:
        yield pool, pool.servers
    finally:
        asyncio.run_coroutine_threadsafe(pool.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
