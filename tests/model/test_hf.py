"""Hugging Face folders to GPTModel and back, and the network itself against plain torch."""

from dataclasses import replace
from pathlib import Path

import plain_qwen
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.model import hf
from fleming_nemo.training.engine import Engine

ROWS = ARCHS["qwen2.5-tiny"].vocab_size

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_save_and_load_give_back_every_bit(arch: str, weights: dict[str, Path], tmp_path: Path) -> None:
    made = tiny.engine(tiny.config(arch), weights[arch])
    hf.save_single(made.network, tmp_path, ARCHS[arch])
    again = tiny.engine(tiny.config(arch), tmp_path)
    first, second = load_file(weights[arch] / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for (name, p), (_, q) in zip(made.network.named_parameters(), again.network.named_parameters(), strict=True):
        assert torch.equal(p, q), name


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_names_are_those_of_transformers(arch: str, weights: dict[str, Path]) -> None:
    names = set(load_file(weights[arch] / "model.safetensors"))
    assert ("lm_head.weight" in names) != ARCHS[arch].tied
    assert ("model.layers.0.self_attn.k_proj.bias" in names) == (ARCHS[arch].family == "qwen2.5")
    assert ("model.layers.0.self_attn.k_norm.weight" in names) == (ARCHS[arch].family == "qwen3")
    assert f"model.layers.{ARCHS[arch].num_layers - 1}.mlp.down_proj.weight" in names


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_logits_equal_plain_torch(arch: str, weights: dict[str, Path]) -> None:
    tokens_BT = torch.randint(0, ARCHS[arch].vocab_size, (3, 40), generator=torch.Generator().manual_seed(0))
    network = tiny.engine(tiny.config(arch), weights[arch]).network.eval()
    with torch.no_grad():
        got = network(tokens_BT, torch.arange(40).expand(3, 40), None)
    expected = plain_qwen.forward(load_file(weights[arch] / "model.safetensors"), ARCHS[arch], tokens_BT)
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_recomputation_changes_no_number(weights: dict[str, Path]) -> None:
    cfg = tiny.config("qwen3-tiny")
    expected = tiny.train(tiny.engine(cfg, weights["qwen3-tiny"]), "sft")
    cfg.model.recompute = -1
    assert tiny.train(tiny.engine(cfg, weights["qwen3-tiny"]), "sft") == expected


def changed(source: Path, folder: Path, **tensors: torch.Tensor | None) -> Path:
    """A copy of a model folder with some tensors replaced (`__` stands for a dot) or, with None, left out."""
    state = load_file(source / "model.safetensors")
    for name, tensor in tensors.items():
        name = name.replace("__", ".")
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file(state, folder / "model.safetensors")
    return folder


class TestRefusals:
    """A folder that does not fit is refused by a sentence that names the folder and the tensor."""

    def load(self, folder: Path, arch: str = "qwen2.5-tiny") -> Engine:
        return tiny.engine(tiny.config(arch), folder)

    def test_no_weights(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="safetensors"):
            self.load(tmp_path)

    def test_missing_tensor(self, weights: dict[str, Path], tmp_path: Path) -> None:
        changed(weights["qwen2.5-tiny"], tmp_path, model__layers__2__mlp__up_proj__weight=None)
        with pytest.raises(UserError, match=r"no tensor model\.layers\.2\.mlp\.up_proj\.weight"):
            self.load(tmp_path)

    def test_another_family(self, weights: dict[str, Path]) -> None:
        with pytest.raises(UserError, match="k_norm"):
            self.load(weights["qwen2.5-tiny"], "qwen3-tiny")

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("model__layers__1__mlp__down_proj__weight", (64, 96)),
            ("model__layers__1__self_attn__k_proj__weight", (48, 64)),
            ("model__layers__1__self_attn__k_proj__weight", (31, 64)),
            ("model__norm__weight", (32,)),
            ("model__embed_tokens__weight", (ROWS - 8, 64)),  # fewer rows are not padding
            ("model__embed_tokens__weight", (ROWS + 8, 64)),
            ("lm_head__weight", (ROWS // 2, 64)),
        ],
    )
    def test_wrong_shape(self, name: str, shape: tuple[int, ...], weights: dict[str, Path], tmp_path: Path) -> None:
        changed(weights["qwen2.5-tiny"], tmp_path, **{name: torch.zeros(shape)})
        with pytest.raises(UserError, match="do not belong together"):
            self.load(tmp_path)

    def test_more_layers_than_the_architecture(self, weights: dict[str, Path], tmp_path: Path) -> None:
        extra = torch.ones(64)
        changed(weights["qwen2.5-tiny"], tmp_path, model__layers__4__input_layernorm__weight=extra)
        with pytest.raises(UserError, match=r"model\.layers\.4\.input_layernorm\.weight"):
            self.load(tmp_path)


def test_vocabulary_rows_are_padded_with_zeros_and_cut_per_rank() -> None:
    full = torch.arange(1.0, 11.0).reshape(5, 2)
    parts = [hf.shard("output_layer.weight", full, tp=2, rank=rank, rows=6) for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), torch.cat([full, torch.zeros(1, 2)]))


def test_config_json_describes_the_shape() -> None:
    shape = replace(ARCHS["qwen3-tiny"], tied=True)
    config = hf.hf_config(shape)
    assert config["architectures"] == ["Qwen3ForCausalLM"] and config["model_type"] == "qwen3"
    assert (config["head_dim"], config["num_key_value_heads"], config["tie_word_embeddings"]) == (32, 2, True)
