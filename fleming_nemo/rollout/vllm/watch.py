"""Finds out that a server is gone: by its process, by its entry in a file, or because it answers no more."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fleming_nemo.rollout.vllm.origin import Origin
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.transport import Lost, Refused

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.pool import Pool

LOOK_S = 0.3
HEALTH_EVERY_S = 10.0
HEALTH_S = 30.0
STRIKES = 3
"""Questions for its health in a row that a server may leave without an answer: it may be busy."""


async def watch(pool: Pool, origin: Origin) -> None:
    """Tell the pool of every server that is lost, until cancelled."""
    strikes = dict.fromkeys(pool.servers, 0)
    asked_at = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_S)
        for server, why in origin.ended():
            pool.lost(server, why)
        if time.monotonic() - asked_at < HEALTH_EVERY_S:
            continue
        alive = [server for server in pool.servers if server.alive]
        answers = await asyncio.gather(*(_healthy(pool, server) for server in alive))
        for server, healthy in zip(alive, answers, strict=True):
            strikes[server] = 0 if healthy else strikes[server] + 1
            if strikes[server] >= STRIKES:
                strikes[server] = 0
                pool.lost(server, f"no answer to /health, {STRIKES} times")
        asked_at = time.monotonic()


async def _healthy(pool: Pool, server: Server) -> bool:
    address = server.address
    try:
        await pool.http.get(address, "/health", HEALTH_S)
    except (Lost, Refused):
        return server.address != address  # restarted meanwhile
    return True
