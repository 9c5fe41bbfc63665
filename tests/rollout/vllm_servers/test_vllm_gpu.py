"""vLLM on GPUs. None of these has run yet (docs/gpu-status.md); each says what it will show."""

import pytest
import torch
from real_lab import LONG, Cluster, judged

from fleming_nemo.rollout.types import Request

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

ASKED = [Request(prompt, seed) for prompt in (LONG, (7, 8, 9)) for seed in range(4)]


def largest_difference(cluster) -> float:
    differences = [
        (torch.from_numpy(rollout.logprobs) - judged(cluster, request, rollout.tokens, 1.0)[0]).abs().max().item()
        for request, rollout in zip(ASKED, cluster.generate(ASKED), strict=True)
    ]
    return max(differences)


@pytest.mark.parametrize("arch", ["nano", "qwen3-tiny"])
def test_bf16_with_graphs_is_the_same_policy(chat, weights, tmp_path, arch):
    """Shows that a server on a GPU starts as on a CPU (command, guard, keeper) with compilation and CUDA graphs, takes
    the weights, tied ones too, and differs from fp32 on the CPU by bf16's rounding alone."""
    cluster = Cluster(arch, chat, weights[arch], tmp_path, precision="bf16", gpus=("0",))
    try:
        assert largest_difference(cluster) < 0.1
    finally:
        cluster.close()


def test_weights_are_quantised_to_fp8_as_they_arrive(chat, weights, tmp_path):
    """Shows that `--quantization fp8` works with weights that come after the start, not from a checkpoint: the policy
    stays near (importance correction does the rest), and is not the one in bf16."""
    cluster = Cluster("qwen3-tiny", chat, weights["qwen3-tiny"], tmp_path, precision="bf16", gpus=("0",), fp8=True)
    try:
        assert 1e-4 < largest_difference(cluster) < 1.0
    finally:
        cluster.close()


def test_a_sleeping_server_gives_its_memory_back(chat, weights, tmp_path):
    """Shows that level 1 frees nearly all of the GPU for the trainer, and that after waking, weights first and cache
    second, the responses are the same."""
    cluster = Cluster("qwen3-tiny", chat, weights["qwen3-tiny"], tmp_path, precision="bf16", gpus=("0",), sleeps=True)
    (server,) = cluster.pool.servers
    try:
        before = [rollout.tokens for rollout in cluster.generate(ASKED)]
        awake, total = torch.cuda.mem_get_info()
        cluster.call(cluster.pool.control(server, "/sleep", params={"level": "1"}))
        asleep, _ = torch.cuda.mem_get_info()
        assert asleep - awake > total // 2
        for part in ("weights", "kv_cache"):
            cluster.call(cluster.pool.control(server, "/wake_up", params={"tags": part}))
        assert [rollout.tokens for rollout in cluster.generate(ASKED)] == before
    finally:
        cluster.close()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_each_server_has_devices_of_its_own(chat, weights, tmp_path):
    """Shows that two servers on one node share no device."""
    cluster = Cluster("qwen3-tiny", chat, weights["qwen3-tiny"], tmp_path, precision="bf16", servers=2, gpus=("0", "1"))
    try:
        assert largest_difference(cluster) < 0.1
        used = [total - free for free, total in map(torch.cuda.mem_get_info, (0, 1))]
        assert min(used) > max(used) // 2
    finally:
        cluster.close()
