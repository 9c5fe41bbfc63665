"""Hugging Face folders to GPTModel and back on one process, and the network itself against plain torch.

Other layouts are in tests/distributed/test_weights.py, transformers' own models in test_transformers.py.
"""

from dataclasses import replace
from pathlib import Path

import plain_qwen
import pytest
import tiny
import torch
from safetensors.torch import load_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import ModelConfig, ParallelConfig
from fleming_nemo.data import files
from fleming_nemo.model import gpt, hf, hf_names
from fleming_nemo.model.hf_files import WeightFolder

ARCHITECTURES = ("qwen2.5-tiny", "qwen3-tiny", "llama-tiny", "nano")

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def folders(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"llama-tiny": tiny.save_random("llama-tiny", tmp_path_factory.mktemp("llama"))} | weights


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("max_shard_bytes", [hf.MAX_SHARD_BYTES, 150_000])
def test_save_and_load_give_back_every_bit(
    max_shard_bytes: int, arch: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    made = tiny.engine(tiny.config(arch), folders[arch])
    hf.save(made.networks, tmp_path, ARCHS[arch], max_shard_bytes)
    again = tiny.engine(tiny.config(arch), tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert (tmp_path / "model.safetensors.index.json").exists() == (len(shards) > 1) == (max_shard_bytes == 150_000)
    first = load_file(folders[arch] / "model.safetensors")
    second = {name: tensor for file in shards for name, tensor in load_file(file).items()}
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for (name, p), (_, q) in zip(made.network.named_parameters(), again.network.named_parameters(), strict=True):
        assert torch.equal(p, q), name


def test_shards_keep_their_size_and_the_index_names_them(folders: dict[str, Path], tmp_path: Path) -> None:
    made = tiny.engine(tiny.config("qwen3-tiny"), folders["qwen3-tiny"])
    hf.save(made.networks, tmp_path, ARCHS["qwen3-tiny"], max_shard_bytes=100_000)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert [file.name for file in shards] == [
        f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))
    ]
    tensors = {file.name: load_file(file) for file in shards}
    for held in tensors.values():
        sizes = [tensor.nbytes for tensor in held.values()]
        assert sum(sizes) <= 100_000 or len(sizes) == 1
    index = files.read_json(tmp_path / "model.safetensors.index.json")
    assert index["weight_map"] == {key: name for name, held in tensors.items() for key in held}
    assert index["metadata"]["total_size"] == sum(t.nbytes for held in tensors.values() for t in held.values())


def test_the_type_of_a_folder_is_that_of_the_parameters(folders: dict[str, Path], tmp_path: Path) -> None:
    """bf16 of an fp32 folder is rounded once: it comes back from its own export bit by bit."""
    shape, cfg = ARCHS["qwen2.5-tiny"], tiny.config(precision="bf16")
    one, two = tmp_path / "one", tmp_path / "two"
    hf.save(tiny.engine(cfg, folders["qwen2.5-tiny"]).networks, one, shape)
    hf.save(tiny.engine(cfg, one).networks, two, shape)
    assert {entry.dtype for entry in WeightFolder(one).entries.values()} == {"BF16"}
    assert files.read_json(one / "config.json")["torch_dtype"] == "bfloat16"
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    rounded = load_file(folders["qwen2.5-tiny"] / "model.safetensors")
    assert all(torch.equal(rounded[key].bfloat16(), t) for key, t in load_file(one / "model.safetensors").items())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_names_are_those_of_transformers(arch: str, folders: dict[str, Path]) -> None:
    names = set(load_file(folders[arch] / "model.safetensors"))
    assert ("lm_head.weight" in names) != ARCHS[arch].tied
    assert ("model.layers.0.self_attn.k_proj.bias" in names) == (ARCHS[arch].family == "qwen2.5")
    assert ("model.layers.0.self_attn.k_norm.weight" in names) == (ARCHS[arch].family == "qwen3")
    assert f"model.layers.{ARCHS[arch].num_layers - 1}.mlp.down_proj.weight" in names


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_logits_equal_plain_torch(arch: str, folders: dict[str, Path]) -> None:
    tokens_BT = torch.randint(0, ARCHS[arch].vocab_size, (3, 40), generator=torch.Generator().manual_seed(0))
    network = tiny.engine(tiny.config(arch), folders[arch]).network.eval()
    with torch.no_grad():
        got = network(tokens_BT, torch.arange(40).expand(3, 40), None)
    expected = plain_qwen.forward(load_file(folders[arch] / "model.safetensors"), ARCHS[arch], tokens_BT)
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_recomputation_changes_no_number(weights: dict[str, Path]) -> None:
    cfg = tiny.config("qwen3-tiny")
    expected = tiny.train(tiny.engine(cfg, weights["qwen3-tiny"]), "sft")
    cfg.model.recompute = -1
    assert tiny.train(tiny.engine(cfg, weights["qwen3-tiny"]), "sft") == expected


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_parameter_has_its_tensors_and_every_tensor_its_parameter(arch: str) -> None:
    shape = ARCHS[arch]
    networks = gpt.build(shape, ModelConfig(arch=arch, precision="fp32"), ParallelConfig())
    found = [piece.key for name, _ in hf_names.parameters(networks) for piece in hf_names.pieces(name, shape)]
    assert sorted(found) == sorted(hf_names.shapes(shape))
    untied = hf_names.shapes(replace(shape, tied=False))
    assert untied.keys() - hf_names.shapes(replace(shape, tied=True)).keys() == {"lm_head.weight"}


class WithFusedNorms:
    """A network under the names that Transformer Engine gives: norms belong to the projection after them."""

    FUSED = {
        "input_layernorm.weight": "self_attention.linear_qkv.layer_norm_weight",
        "pre_mlp_layernorm.weight": "mlp.linear_fc1.layer_norm_weight",
    }

    def __init__(self, network: torch.nn.Module) -> None:
        self.decoder = network.decoder
        self.network = network

    def named_parameters(self):
        for name, parameter in self.network.named_parameters():
            for local, fused in self.FUSED.items():
                name = name.replace(f".{local}", f".{fused}")
            yield name, parameter


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_names_of_transformer_engine_mean_the_same(arch: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Not the module itself, which needs a GPU: its names, from megatron-core's sharded_state_dict_keys_map."""
    plain, other = tiny.engine(tiny.config(arch), folders[arch]).network, tiny.engine(tiny.config(arch)).network
    fused = WithFusedNorms(other)
    assert sum("layer_norm_weight" in name for name, _ in fused.named_parameters()) == 2 * ARCHS[arch].num_layers
    hf.load([fused], folders[arch], ARCHS[arch])
    for (name, p), (_, q) in zip(plain.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(p, q), name
    hf.save([fused], tmp_path, ARCHS[arch])
    expected = load_file(folders[arch] / "model.safetensors")
    assert all(torch.equal(expected[key], tensor) for key, tensor in load_file(tmp_path / "model.safetensors").items())


class TestFirstDifference:
    """What stands between writing and renaming: one wrong bit anywhere is found."""

    def test_none(self, folders: dict[str, Path]) -> None:
        made = tiny.engine(tiny.config("qwen3-tiny"), folders["qwen3-tiny"])
        assert hf.first_difference(made.networks, folders["qwen3-tiny"], ARCHS["qwen3-tiny"]) is None

    @pytest.mark.parametrize(
        "name",
        ["decoder.layers.2.self_attention.linear_qkv.weight", "decoder.final_layernorm.weight", "output_layer.weight"],
    )
    def test_one_bit(self, name: str, folders: dict[str, Path]) -> None:
        made = tiny.engine(tiny.config("qwen3-tiny"), folders["qwen3-tiny"])
        last = dict(made.network.named_parameters())[name].detach().view(torch.int32).view(-1)[-1:]
        last ^= 1
        difference = hf.first_difference(made.networks, folders["qwen3-tiny"], ARCHS["qwen3-tiny"])
        assert difference is not None and "on disk is not what the model holds" in difference

    def test_not_a_number_equals_itself_and_zero_has_a_sign(self, folders: dict[str, Path], tmp_path: Path) -> None:
        made = tiny.engine(tiny.config("qwen3-tiny"), folders["qwen3-tiny"])
        norm = made.network.decoder.final_layernorm.weight.detach()
        norm[0], norm[1] = torch.nan, 0.0
        hf.save(made.networks, tmp_path, ARCHS["qwen3-tiny"])
        assert hf.first_difference(made.networks, tmp_path, ARCHS["qwen3-tiny"]) is None
        norm[1] = -0.0
        difference = hf.first_difference(made.networks, tmp_path, ARCHS["qwen3-tiny"])
        assert difference is not None and difference.startswith("model.norm.weight")

    def test_another_type(self, folders: dict[str, Path]) -> None:
        made = tiny.engine(tiny.config(precision="bf16"), folders["qwen2.5-tiny"])
        difference = hf.first_difference(made.networks, folders["qwen2.5-tiny"], ARCHS["qwen2.5-tiny"])
        assert difference is not None and "F32 on disk and torch.bfloat16" in difference
