"""Transfers on GPUs. None of these has run yet (docs/gpu-status.md); each says what it will show."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from real_servers import LONG, RealServers

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.rollout.vllm.worker.fleming_transfer import shared, wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.buckets import Leases

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def pushed(request: Any, chat: Any, weights: dict[str, Path], tmp_path: Path) -> Any:
    """A trainer in this process on the first GPU and a server on another (nccl) or the same (ipc)."""
    backend = request.param
    if backend == "nccl" and torch.cuda.device_count() < 2:
        pytest.skip("NCCL refuses two ranks on one GPU")
    gpus = ("1",) if backend == "nccl" else ("0",)
    cfg = tiny.config("qwen3-tiny", precision="bf16")
    cfg.train.seq_length = 448
    servers = RealServers("qwen3-tiny", 1, chat, tmp_path, dtype="bfloat16", gpus=gpus)
    engine = tiny.engine(cfg, weights["qwen3-tiny"])
    transfer = Transfer(engine, backend)
    yield engine, transfer, servers
    transfer.close()
    servers.close()


@pytest.mark.vllm
@pytest.mark.parametrize("pushed", ["nccl", "ipc"], indirect=True)
def test_the_engine_holds_the_trainers_weights(pushed: Any) -> None:
    """Shows that buckets go over NCCL to a server on another GPU, and through CUDA IPC handles to one on the same GPU,
    without any pickle; that no bucket is overwritten before it was read (training goes on right after a push); and that
    trainer and engine differ by bf16's rounding alone after every push, and by more without one."""
    engine, transfer, servers = pushed
    pool = servers.pool
    for version in range(3):
        report = transfer.push(pool.servers, version, pool)
        assert report.updated == ["vllm_0"] and report.attempts == 1
        assert transfer.compare([LONG, LONG[:31]], pool.servers, pool) < 0.1
        for _ in range(10):
            tiny.train(engine, "sft", range(1))
    assert transfer.compare([LONG], pool.servers, pool) > 0.1


@pytest.mark.vllm
@pytest.mark.parametrize("pushed", ["nccl"], indirect=True)
def test_a_server_killed_during_a_broadcast_does_not_hang_nccl(pushed: Any) -> None:
    """Shows that a group whose peer has gone is aborted from outside, that NCCL's watchdog does not end the trainer,
    and that another group can be made afterwards."""
    _, transfer, servers = pushed
    pool = servers.pool
    transfer.push(pool.servers, 0, pool)
    pool.loop.call_soon_threadsafe(pool.lost, pool.servers[0], "killed by the test")
    assert list(transfer.push(pool.servers, 1, pool).lost) == ["vllm_0"]
    revived = servers.call(pool.revive())
    assert transfer.push(revived, 2, pool).updated == ["vllm_0"]


def test_a_bucket_on_a_gpu_has_the_checksum_of_the_cpu() -> None:
    """Shows that both sides compute one checksum wherever the bytes are."""
    content = torch.randint(0, 256, (100_000,), dtype=torch.uint8)
    assert wire.checksum(content.cuda()) == wire.checksum(content)
    bucket = content.cuda()
    wire.seal(bucket, 3)
    found = [wire.check_seal(b[: -wire.SEAL_BYTES], b[-wire.SEAL_BYTES :], 3) for b in (bucket, bucket.cpu())]
    assert found[0] == found[1]


def test_a_handle_survives_json_and_names_its_gpu() -> None:
    """Shows that what `share` describes has all that torch needs to map the memory in another process."""
    told = shared.export(Leases(torch.device("cuda")).take(4096, 4096), None)
    assert told["device_uuid"] == str(torch.cuda.get_device_properties(0).uuid) and told["nbytes"] == 4096


def test_gloo_is_refused_for_a_trainer_on_gpus(weights: dict[str, Path]) -> None:
    """Shows that a backend which cannot send from this trainer is refused before a server is asked."""
    with pytest.raises(UserError, match="does not send from a cuda"):
        Transfer(tiny.engine(tiny.config("nano"), weights["nano"]), "gloo")
