"""The bytes that a layer keeps, against what autograd saves in the real model on the CPU."""

from dataclasses import replace

import pytest
import torch
from works import work

from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import ModelConfig, ParallelConfig
from fleming_nemo.planner import activations
from fleming_nemo.planner.workload import Kernels

TOKENS = 64


def saved_bytes(shape: ArchShape) -> int:
    """Memory behind all tensors that a forward pass of one sequence saves, parameters apart."""
    from fleming_nemo.model import gpt

    (network,) = gpt.build(shape, ModelConfig(precision="bf16"), ParallelConfig())
    network.bfloat16()
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.arange(TOKENS)[None]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(ids, ids, None)
    assert logits.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("arch", ["nano", "qwen3-tiny", "llama-tiny"])
def test_local_layers_keep_what_autograd_saves(one_process, arch):
    """One layer more saves exactly the bytes of one layer."""
    shape = ARCHS[arch]
    one_layer = saved_bytes(replace(shape, num_layers=3)) - saved_bytes(replace(shape, num_layers=2))
    assert activations.layer_bytes(work(arch, kernels=Kernels.LOCAL)) * TOKENS == one_layer


def test_fused_kernels_keep_less():
    """The local layers have a SwiGLU of their own, which keeps less than Transformer Engine beside megatron-core's."""
    size = {kernels: activations.layer_bytes(work(kernels=kernels)) for kernels in Kernels}
    assert size[Kernels.FUSED] < size[Kernels.LOCAL] < size[Kernels.ENGINE]


def test_a_llama_layer_by_hand():
    """Fused kernels, by the paper's terms: h = 4, two heads of 2 with one group, f = 8.

    Norms: input and output in bf16, 2 * (2 + 2) * 4, and two fp32 statistics, 8.  Attention: q, k, v 2 * (4 + 2 + 2),
    its result 2 * 4, a log-sum of 4 bytes a head, 8.  Feed-forward: gate and up 2 * 2 * 8, product 2 * 8.
    """
    shape = ArchShape("llama", 2, 4, 8, 2, 1, 2, 16, 1e4, 1e-6, False, 64)
    norms, attention, feed_forward = 40, 16 + 8 + 8, 48
    whole = work("nano", shape=shape)
    assert activations.layer_bytes(whole) == norms + attention + feed_forward
    two = replace(whole, tp=2, sequence_parallel=True)
    assert activations.layer_bytes(two) == (norms + attention + feed_forward) / 2
    assert activations.layer_bytes(replace(two, sequence_parallel=False)) == norms + (attention + feed_forward) / 2
    assert activations.boundary_bytes(two) == 4
