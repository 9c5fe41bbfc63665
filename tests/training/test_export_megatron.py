"""A run's checkpoint for Megatron-Bridge: the names and shapes of its mappings, and weights that come back."""

from pathlib import Path

import pytest
import tiny
import torch
import yaml

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.training import checkpoint, export, export_megatron
from fleming_nemo.training.engine import Engine

from megatron.core import dist_checkpointing  # isort: skip

pytestmark = pytest.mark.usefixtures("one_process")

# Megatron-Bridge's names, `*` for the layer: models/qwen/qwen2_bridge.py, and qwen3_bridge.py without its MTP layers.
BOTH = {
    "embedding.word_embeddings.weight": lambda s: (s.vocab_size, s.hidden_size),
    "output_layer.weight": lambda s: (s.vocab_size, s.hidden_size),
    "decoder.final_layernorm.weight": lambda s: (s.hidden_size,),
    "decoder.layers.*.self_attention.linear_qkv.layer_norm_weight": lambda s: (s.hidden_size,),
    "decoder.layers.*.mlp.linear_fc1.layer_norm_weight": lambda s: (s.hidden_size,),
    "decoder.layers.*.self_attention.linear_proj.weight": lambda s: (s.hidden_size, s.num_heads * s.head_dim),
    "decoder.layers.*.mlp.linear_fc2.weight": lambda s: (s.hidden_size, s.ffn_hidden_size),
    "decoder.layers.*.self_attention.linear_qkv.weight": lambda s: (rows(s), s.hidden_size),
    "decoder.layers.*.mlp.linear_fc1.weight": lambda s: (2 * s.ffn_hidden_size, s.hidden_size),
}
BRIDGE = {
    "qwen2.5-tiny": BOTH | {"decoder.layers.*.self_attention.linear_qkv.bias": lambda s: (rows(s),)},
    "qwen3-tiny": BOTH
    | {
        "decoder.layers.*.self_attention.q_layernorm.weight": lambda s: (s.head_dim,),
        "decoder.layers.*.self_attention.k_layernorm.weight": lambda s: (s.head_dim,),
    },
}


def rows(shape: ArchShape) -> int:
    """Of q, k and v together."""
    return (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim


def expected(arch: str) -> dict[str, tuple[int, ...]]:
    shape = ARCHS[arch]
    layers = range(shape.num_layers)
    return {
        name.replace("*", str(n)): size(shape)
        for name, size in BRIDGE[arch].items()
        for n in (layers if "*" in name else [0])
    }


def run_of(arch: str, weights: dict[str, Path], folder: Path) -> tuple[RunConfig, Engine]:
    """A run directory with a checkpoint of step 3, and its engine."""
    cfg = tiny.config(arch, precision="bf16")
    (folder / "config.yaml").write_text(to_yaml(cfg))
    engine = tiny.engine(cfg, weights[arch])
    tiny.train(engine, "sft", range(3))
    checkpoint.save(engine, folder, 3, {}, keep=2)
    return cfg, engine


@pytest.mark.parametrize("arch", list(BRIDGE))
def test_names_and_shapes_are_those_of_megatron_bridge(arch, weights, tmp_path):
    cfg, engine = run_of(arch, weights, tmp_path)
    out = tmp_path / "out"
    export.write(cfg, tmp_path, 3, out, form=export.MEGATRON)

    found = dist_checkpointing.load_tensors_metadata(str(out / "iter_0000003"))
    assert {name: tuple(t.global_shape) for name, t in found.items()} == expected(arch)
    assert all(tensor.dtype == torch.bfloat16 for tensor in found.values())
    assert (out / export_megatron.TRACKER).read_text() == "3\n"

    loaded = dist_checkpointing.load_plain_tensors(str(out / "iter_0000003"))
    local = {"decoder.layers.0.self_attention.linear_qkv.layer_norm_weight": "decoder.layers.0.input_layernorm.weight"}
    parameters = dict(engine.network.named_parameters())
    for name in ("embedding.word_embeddings.weight", "decoder.layers.3.mlp.linear_fc1.weight", *local):
        assert torch.equal(loaded[name], parameters[local.get(name, name)].detach().to(torch.bfloat16)), name


@pytest.mark.parametrize("arch", list(BRIDGE))
def test_the_model_is_described_for_its_provider(arch, weights, tmp_path):
    cfg, engine = run_of(arch, weights, tmp_path)
    export.write(cfg, tmp_path, 3, tmp_path / "out", form=export.MEGATRON)
    model = yaml.safe_load((tmp_path / "out" / "iter_0000003" / "run_config.yaml").read_text())["model"]
    config = engine.network.config
    for name in set(model) & set(vars(config)) - {"activation_func", "params_dtype"}:
        assert model[name] == getattr(config, name), name
    assert (model["vocab_size"], model["rotary_base"]) == (ARCHS[arch].vocab_size, ARCHS[arch].rope_theta)


def test_another_file_than_the_one_that_was_written_is_noticed(weights, tmp_path, monkeypatch):
    """Weights that come back changed are no export, and leave nothing of its name."""
    cfg, _ = run_of("qwen3-tiny", weights, tmp_path)
    load = dist_checkpointing.load

    def damaged(state, folder, *rest):
        loaded = load(state, folder, *rest)
        if "iter_" in folder:
            loaded["model"]["decoder.layers.1.mlp.linear_fc2.weight"].mul_(1.5)
        return loaded

    monkeypatch.setattr(dist_checkpointing, "load", damaged)
    with pytest.raises(UserError, match="other logits"):
        export.write(cfg, tmp_path, 3, tmp_path / "out", form=export.MEGATRON)
    assert not (tmp_path / "out").exists()
