"""What the ranks of a transfer test do.  Every function runs on all ranks; rank 0's value counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiny
import torch
from megatron.core import parallel_state
from safetensors.torch import load_file
from servers import Pool, Server

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.training.engine import Engine

BUCKET_BYTES = 100_000
"""Less than an embedding, so that tensors are cut, and some of them in the middle of a rank's part."""


def _engine(cfg: RunConfig, weights: Path) -> Engine:
    if not parallel_state.model_parallel_is_initialized():
        groups.init(cfg.parallel, seed=7)
    return tiny.engine(cfg, weights)


@contextmanager
def pool_of(worlds: list[int]) -> Iterator[tuple[Pool | None, list[Server] | None]]:
    """Receiving processes, on rank 0."""
    if groups.rank():
        yield None, None
        return
    pool = Pool()
    try:
        yield pool, [pool.start(f"server_{n}", world) for n, world in enumerate(worlds)]
    finally:
        pool.close()


def received_as_exported(
    cfg: RunConfig, weights: Path, folder: Path, backend: str = "gloo", messages: bool = False
) -> dict[str, Any]:
    """Push, train, push again into a server of two workers and one of one; compare with what `hf.save` writes."""
    engine = _engine(cfg, weights)
    transfer = Transfer(engine, backend, BUCKET_BYTES, timeout_s=30)
    if messages:  # as ranks of several nodes do
        transfer.stream.shares = False
    different = []
    with pool_of([2, 1]) as (pool, servers):
        reports = []
        for version in (3, 4):
            report = transfer.push(servers, version, pool)
            reports.append(report)
            exported = folder / str(version)
            hf.save(engine.networks, exported, engine.shape)
            if pool is not None and servers is not None:
                state = pool.ask(servers[0], "/test/state")
                assert state["held"] == [version, version] and state["label"] == str(version) and not state["paused"]
                different += _differences(pool, servers, exported, folder)
            tiny.train(engine, "sft", range(1))
        transfer.close()
    return {"different": different, "reports": reports, "all": everyone(reports[-1].updated)}


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
