"""What is ours about Transformer Engine's layers, with stand-ins for its classes: it cannot be installed without CUDA.

The stand-ins have the names and the sharding of megatron-core's wrappers (`layer_norm_weight` and `weight` in one
module, replicated and cut along the rows), so that checkpoints can be exchanged with them.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import tiny
import torch
from torch import Tensor, nn

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.model import gpt
from fleming_nemo.parallel import te_layers
from fleming_nemo.parallel.layers import CoreAttention, RMSNorm
from fleming_nemo.parallel.te_layers import padded_or_fused

from megatron.core import dist_checkpointing, tensor_parallel  # isort: skip
from megatron.core.models.gpt import gpt_layer_specs  # isort: skip

pytestmark = pytest.mark.usefixtures("one_process")


class Fused(CoreAttention):
    """Core attention that remembers what it was asked for."""

    calls: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = []

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        assert attention_mask is None, "Transformer Engine would ignore it"
        self.calls.append(kwargs.get("packed_seq_params"))
        return super().forward(query, key, value, None, *args, **kwargs)


class NormAndLinear(tensor_parallel.ColumnParallelLinear):
    """Norm and linear layer in one module."""

    def __init__(self, input_size: int, output_size: int, *, config: Any, **kwargs: Any) -> None:
        super().__init__(input_size, output_size, config=config, **kwargs)
        self.layer_norm_weight = nn.Parameter(torch.ones(input_size))
        self.eps = config.layernorm_epsilon

    def forward(self, input_: Tensor, *args: Any, **kwargs: Any) -> Any:
        normed = nn.functional.rms_norm(input_, (input_.size(-1),), self.layer_norm_weight, self.eps)
        return super().forward(normed, *args, **kwargs)


class StandIns:
    """As megatron-core's TESpecProvider answers, of 0.16 and of 0.19."""

    def linear(self) -> type:
        return tensor_parallel.ColumnParallelLinear

    def column_parallel_linear(self) -> type:
        return tensor_parallel.ColumnParallelLinear

    def row_parallel_linear(self) -> type:
        return tensor_parallel.RowParallelLinear

    def fuse_layernorm_and_linear(self) -> bool:
        return True

    def column_parallel_layer_norm_linear(self) -> type:
        return NormAndLinear

    def layer_norm(self, **_: Any) -> type:
        return RMSNorm

    def core_attention(self) -> type:
        return Fused


@pytest.fixture
def fused_spec(monkeypatch: pytest.MonkeyPatch) -> Any:
    """te_block_spec with the stand-ins in the place of Transformer Engine's classes."""
    monkeypatch.setattr(gpt_layer_specs, "TESpecProvider", StandIns, raising=False)
    monkeypatch.setattr(gpt_layer_specs, "TENorm", RMSNorm, raising=False)
    monkeypatch.setattr(te_layers, "HAVE_TE", True)
    return te_layers.te_block_spec


def build(arch: str, spec: Any = None) -> Any:
    cfg = tiny.config(arch)
    with mock.patch.object(gpt, "block_spec", spec or gpt.block_spec):
        (network,) = gpt.build(ARCHS[arch], cfg.model, cfg.parallel)
    return network.eval()


def logits(network: Any, arch: str) -> Tensor:
    tokens_BT = torch.randint(0, ARCHS[arch].vocab_size, (2, 24), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network(tokens_BT, torch.arange(24).expand(2, 24), None)


def tensors(network: Any) -> dict[str, tuple[int, ...]]:
    """Key in a checkpoint -> global shape of every sharded tensor."""
    made = network.sharded_state_dict(metadata={})
    return {
        t.key: t.global_shape
        for t in made.values()
        if hasattr(t, "global_shape") and t.data is not None and isinstance(t.data, Tensor)
    }


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_checkpoints_are_exchanged(arch: str, fused_spec: Any, weights: dict[str, Path], tmp_path: Path) -> None:
    local, fused = tiny.engine(tiny.config(arch), weights[arch]).network.eval(), build(arch, fused_spec)
    assert not torch.allclose(logits(fused, arch), logits(local, arch), atol=1e-2)
    names = {name for name, _ in fused.named_parameters()}
    assert "decoder.layers.0.self_attention.linear_qkv.layer_norm_weight" in names
    assert "decoder.layers.0.input_layernorm.weight" not in names
    assert tensors(local) == tensors(fused)
    assert "decoder.layers.mlp.linear_fc1.layer_norm_weight" in tensors(local)

    dist_checkpointing.save(local.sharded_state_dict(metadata={}), str(tmp_path))
    fused.load_state_dict(dist_checkpointing.load(fused.sharded_state_dict(metadata={}), str(tmp_path)))
    assert torch.equal(
        fused.decoder.layers[1].mlp.linear_fc1.layer_norm_weight, local.decoder.layers[1].pre_mlp_layernorm.weight
    )
    torch.testing.assert_close(logits(fused, arch), logits(local, arch), atol=1e-5, rtol=1e-5)


def test_every_layer_is_fused_once(fused_spec: Any) -> None:
    network = build("qwen3-tiny", fused_spec)
    for layer in network.decoder.layers:
        attention = layer.self_attention.core_attention
        assert isinstance(attention, te_layers.PaddedOrFused)
        assert type(attention.fused) is Fused and type(attention.padded) is CoreAttention
    assert not [key for key in network.sharded_state_dict(metadata={}) if "core_attention" in key]


def test_training_is_fused_and_padded_prompts_are_not(fused_spec: Any) -> None:
    network = build("qwen2.5-tiny", fused_spec)
    attention = network.decoder.layers[0].self_attention.core_attention
    logits(network, "qwen2.5-tiny")
    assert attention.fused.calls == [None]

    valid_bk = torch.ones(2, 6, dtype=torch.bool)
    valid_bk[0, :2] = False
    q, k, v = (torch.randn(6, 2, 4, 16, generator=torch.Generator().manual_seed(n)) for n in range(3))
    got = attention(q, k, v, valid_bk, attn_mask_type=None)
    assert len(attention.fused.calls) == 1
    alone = attention(q[2:, :1], k[2:, :1], v[2:, :1], None)
    torch.testing.assert_close(got[2:, :1], alone)


def test_packs_reach_the_fused_kernel() -> None:
    config = SimpleNamespace(context_parallel_size=1)
    attention = padded_or_fused(Fused)(config, 1, None, "self", pg_collection=None)
    ends = torch.tensor([0, 3, 8], dtype=torch.int32)
    packed = SimpleNamespace(cu_seqlens_q=ends, cu_seqlens_kv=ends)
    q, k, v = (torch.randn(8, 2, 16, generator=torch.Generator().manual_seed(n)) for n in range(3))
    attention(q, k, v, None, packed_seq_params=packed)
    assert attention.fused.calls == [packed]


def test_a_version_that_megatron_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports with a warning at most, and megatron-core goes on as without it."""
    monkeypatch.setattr(te_layers, "HAVE_TE", False)
    with pytest.raises(UserError, match="this megatron-core cannot use Transformer Engine"):
        te_layers.te_block_spec(None)


def test_without_a_gpu_they_are_not_available() -> None:
    assert te_layers.available() == (torch.cuda.is_available() and te_layers.extensions.transformer_engine().usable)


@pytest.mark.parametrize("there", [True, False])
def test_the_engine_gets_what_can_run(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(te_layers, "available", lambda: there)
    monkeypatch.setattr(te_layers, "te_block_spec", lambda *asked: ("fused", *asked))
    monkeypatch.setattr(te_layers.layers, "block_spec", lambda *asked: ("local", *asked))
    assert te_layers.block_spec("config", 1) == ("fused" if there else "local", "config", 1)


def test_availability_needs_both(monkeypatch: pytest.MonkeyPatch) -> None:
    found = te_layers.extensions.Extension
    for gpu in (True, False):
        for engine in (found("te"), found("te", "2.20"), found("te", "2.20", "broken")):
            monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
            monkeypatch.setattr(te_layers.extensions, "transformer_engine", partial(lambda e: e, engine))
            assert te_layers.available() == (gpu and engine == found("te", "2.20"))
