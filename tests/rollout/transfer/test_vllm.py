"""The real vLLM holds the trainer's weights: `make test-vllm`."""

import time
from pathlib import Path
from typing import Any

import layouts
import pytest
import tiny
import torch
import transfer_work as work
from harness import Case, Harness, value
from real_servers import LONG, MAX_LENGTH, RealServers, judged

from fleming_nemo.model import hf
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.rollout.vllm import environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(1800)]

# nano is a Qwen2.5 with tied embeddings, of which vLLM keeps a packed copy on a CPU; the other a Qwen3 without.
SERVERS = {"nano": 1, "qwen3-tiny": 2}
TRAINERS = ("tp2", "pp2")


@pytest.fixture(scope="module", params=SERVERS)
def servers(request: Any, chat: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment.find()  # says what to do where there is none
    made = RealServers(request.param, SERVERS[request.param], chat, tmp_path_factory.mktemp(request.param))
    yield made
    made.close()


@pytest.fixture
def trainer(servers: RealServers, weights: dict[str, Path]) -> Any:
    """The policy in this process, and its transfer."""
    engine = tiny.engine(tiny.config(servers.arch), weights[servers.arch])
    transfer = Transfer(engine, "gloo")
    yield engine, transfer
    transfer.close()


@pytest.mark.parametrize("layout", TRAINERS)
def test_log_probabilities_after_every_push(
    layout: str, servers: RealServers, weights: dict[str, Path], harness: Harness
) -> None:
    """From a trainer of two processes, with training in between; and weights of a step before are noticed."""
    cfg = layouts.config(servers.arch, layout)
    cfg.train.seq_length = MAX_LENGTH
    name = f"vllm {servers.arch} {layout}"
    harness.run([Case(name, work.into_vllm, (cfg, weights[servers.arch], servers.file, [LONG, LONG[:31], LONG[40:]]))])
    found = value(harness.results, name)
    assert max(found["differences"]) < 1e-4
    assert min(found["before"], found["stale"]) > 0.01
    assert [report.requests_per_server for report in found["reports"]] == [5, 4, 4]


def test_the_prefix_cache_holds_nothing_of_old_weights(
    servers: RealServers, trainer: Any, chat: Any, tmp_path: Path
) -> None:
    engine, transfer = trainer
    for version in range(2):
        transfer.push(servers.pool.servers, version, servers.pool)
        hf.save(engine.networks, tmp_path / str(version), engine.shape)
        tokens, said = servers.call(servers.complete(LONG, 8))
        again, said_again = servers.call(servers.complete(LONG, 8))  # now from the cache
        for ids, logprobs in ((tokens, said), (again, said_again)):
            right = judged(tmp_path / str(version), servers.arch, chat.size, LONG, ids)
            assert (logprobs - right).abs().max() < 1e-4
        tiny.train(engine, "sft", range(1))


def test_requests_that_are_kept_go_on_with_the_new_weights(
    servers: RealServers, trainer: Any, chat: Any, tmp_path: Path
) -> None:
    engine, transfer = trainer
    transfer.push(servers.pool.servers, 0, servers.pool)
    hf.save(engine.networks, tmp_path / "old", engine.shape)
    begun = time.monotonic()
    servers.call(servers.complete(LONG, 200))
    whole_s = time.monotonic() - begun
    tiny.train(engine, "sft", range(1))
    hf.save(engine.networks, tmp_path / "new", engine.shape)
    under_way = servers.start(servers.complete(LONG, 200))
    time.sleep(whole_s / 4)
    transfer.push(servers.pool.servers, 1, servers.pool, mode="keep")
    tokens, said = under_way.result(600)
    old, new = (judged(tmp_path / name, servers.arch, chat.size, LONG, tokens) for name in ("old", "new"))
    from_old, from_new = (said - old).abs() < 1e-4, (said - new).abs() < 1e-4
    switch = int(torch.argmin(from_old.int()))
    assert 0 < switch < len(tokens) - 1
    assert from_old[:switch].all() and from_new[switch:].all(), "keys and values of old weights were not used again"
